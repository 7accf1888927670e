"""A client of the gateway's WebSocket, and the bars that it should receive."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from pods.gateway import (
    MINUTE,
)
from tapedeck_common.market import Bar, event_time
from tapedeck_deck.embedded.deadline import Deadline

T0 = 1_522_800_000_000  # 2018-04-04T00:00:00Z


def aggregated(bars: list[Bar], minutes: int, known_until: int, *, running: bool = True) -> list[tuple[float, ...]]:
    """Coarser bars (times in seconds), aggregated by a dictionary and not by the gateway's code."""
    width = minutes * MINUTE
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        if event_time(bar) <= known_until:
            groups.setdefault(bar.ts // width * width, []).append(bar)
    return [
        (t // 1000, g[0].open, max(b.high for b in g), min(b.low for b in g), g[-1].close, sum(b.volume for b in g))
        for t, g in sorted(groups.items())
        if running or t + width <= known_until
    ]


def rows(answer: dict[str, Any]) -> list[tuple[float, ...]]:
    return list(zip(*(answer[c] for c in "tohlcv"), strict=True)) if answer["s"] == "ok" else []


def assert_same_bars(found: list[tuple[float, ...]], expected: list[tuple[float, ...]]) -> None:
    assert [r[:5] for r in found] == [r[:5] for r in expected]
    assert [r[5] for r in found] == pytest.approx([r[5] for r in expected])


class SocketClient:
    """Subscribes, and collects the messages that are pushed."""

    def __init__(self, socket: ClientConnection, *subscriptions: dict[str, Any]) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        for subscription in subscriptions:
            self.send({"type": "subscribe", **subscription})
        self.until(lambda: len(self.of("subscribed")) == len(subscriptions))

    def _listen(self) -> None:
        try:
            for text in self.socket:
                self.received.append(json.loads(text))
        except ConnectionClosed:
            return

    def send(self, message: dict[str, Any]) -> None:
        self.socket.send(json.dumps(message))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in list(self.received) if message["type"] == kind]

    def position(self) -> int | None:
        """The virtual time in the last position message."""
        positions = self.of("position")
        return positions[-1]["v"] if positions else None

    def bars(self) -> dict[int, list[Any]]:
        """The last state of each bar received since the last reset."""
        found: dict[int, list[Any]] = {}
        for message in list(self.received):
            if message["type"] == "reset":
                found.clear()
            elif message["type"] == "bars":
                found.update((bar[0], bar) for bar in message["bars"])
        return found

    def until(self, condition: Any, timeout: float = 10.0) -> None:
        deadline = Deadline(timeout)
        while not condition():
            assert not deadline.passed(), self.received[-5:]
            time.sleep(0.01)
