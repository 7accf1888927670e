"""A client of the WebSocket /api/v1/ws."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tapedeck_deck.embedded.deadline import Deadline

Message = dict[str, Any]


class ChannelClient:
    """Subscribes, and collects the messages that are pushed, from the welcome on. ``close`` has the close code."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.received: list[Message] = []
        self.close_code: int | None = None
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        self.until(lambda: self.of("welcome"))
        self.session = str(self.of("welcome")[0]["session"])

    def _listen(self) -> None:
        try:
            while True:
                self.received.append(json.loads(self.socket.recv()))
        except ConnectionClosed as closed:
            self.close_code = None if closed.rcvd is None else closed.rcvd.code

    def send(self, type: str, **fields: object) -> None:
        self.socket.send(json.dumps({"type": type, **fields}))

    def subscribe(self, id: str, channel: str, **fields: object) -> None:
        """Subscribe, and wait for the answer."""
        self.send("subscribe", id=id, channel=channel, **fields)
        self.until(lambda: any(message["id"] == id for message in self.of("subscribed")))

    def resume(self, session: str, seq: int) -> list[Message]:
        """Resume a session; returns its messages from then on up to ``resumed``."""
        self.until(lambda: self.of("services"))
        before = len(self.received)
        self.send("resume", session=session, seq=seq)
        self.until(lambda: self.of("resumed"))
        return self.received[before:]

    def error(self, text: str | list[str]) -> Message:
        """Send a frame, or the fragments of one, and return the error that answers it."""
        before = len(self.of("error"))
        self.socket.send(text)
        self.until(lambda: len(self.of("error")) > before)
        return self.of("error")[-1]

    def of(self, kind: str, id: str = "") -> list[Message]:
        return [
            message
            for message in list(self.received)
            if message["type"] == kind and (not id or message.get("id") == id)
        ]

    def bars(self, id: str) -> dict[int, Message]:
        """The bars of a subscription as a client keeps them, by open."""
        found: dict[int, Message] = {}
        for message in list(self.received):
            if message.get("id") != id:
                continue
            if message["type"] == "reset" or message.get("snapshot"):
                found.clear()
            if message["type"] in ("bars", "revise"):
                found.update((bar["ts"], bar) for bar in message["bars"])
        return found

    def items(self, id: str, name: str) -> list[Any]:
        """The trades, fills, points … of a subscription as a client keeps them."""
        found: list[Any] = []
        for message in list(self.received):
            if message.get("id") != id:
                continue
            if message["type"] == "reset" or message.get("snapshot"):
                found.clear()
            found += message.get(name, [])
        return found

    def until(self, condition: Any, timeout: float = 60.0) -> None:
        deadline = Deadline(timeout)
        while not condition():
            assert not deadline.passed(), self.received[-5:]
            time.sleep(0.01)


OpenSocket: TypeAlias = Callable[[], ChannelClient]
"""Opens a WebSocket."""
