"""The session of a WebSocket: its subscriptions, what waits to be sent, and what a resume can repeat.

A message goes straight to a socket that takes it. For one that does not it waits, and replaces an earlier state of the
same thing. Beyond PENDING_BYTES nothing waits: the subscriptions are marked, and each gets a snapshot once the client
reads again. So a slow client, and a session whose socket is lost, cost a bounded amount of memory.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol

import msgspec

from tapedeck_crds.json import Json
from tapedeck_gateway.access.tokens import Grant
from tapedeck_gateway.push.channel import Channel
from tapedeck_gateway.push.metrics import MESSAGES, SLOW_SOCKETS
from tapedeck_gateway.push.protocol.messages import (
    TAKEN_OVER,
    TOO_SLOW,
    Resumed,
    ServicesState,
    SocketMessage,
    SocketPing,
)
from tapedeck_gateway.push.protocol.requests import SNAPSHOT_DEFAULT
from tapedeck_gateway.push.shared_message import SharedMessage

FRAME_WRITER = "tapedeck.frame_writer"
"""The ASGI extension of a WebSocket's scope that is its FrameWriter."""
PENDING_BYTES = 16_384
RESUME_MESSAGES = 128
RESUME_BYTES = 16_384
PING_SECONDS = 15.0

_encode = msgspec.json.Encoder().encode


class FrameWriter(Protocol):
    """The sending side of a WebSocket. ``on_writable`` is called when a client that did not read does so again."""

    on_writable: Callable[[], None] | None

    @property
    def is_writable(self) -> bool:
        """Whether the client takes what is sent; False once the connection is lost."""

    @property
    def is_stalled(self) -> bool:
        """Whether an open connection waits for its client to read."""

    async def wait_writable(self) -> None:
        """Wait until the client reads, or the connection is lost."""

    def write_text(self, text: bytes) -> None:
        """Send a text frame now."""

    def close_with(self, code: int, reason: str) -> None:
        """Send a close frame after what was sent before."""


class ChannelSubscription:
    """A client's subscription to a channel. ``kinds`` are the types of messages that it wants."""

    __slots__ = ("channel", "count", "encoded_id", "id", "kinds", "session")

    def __init__(self, session: SocketSession, id: str, channel: Channel, kinds: frozenset[str], count: int) -> None:
        self.session = session
        self.id = id
        self.channel = channel
        self.kinds = kinds
        self.count = count
        self.encoded_id = _encode(id)

    def send(self, message: SharedMessage) -> None:
        """Send a message of the channel, if it is of a kind that is wanted."""
        if message.kind in self.kinds:
            self.session.send(message, self)

    def send_snapshot(self) -> None:
        """Send the present state in place of what waits."""
        self.session.send_snapshot(self)

    def snapshot(self) -> list[SharedMessage]:
        """The present state."""
        return self.channel.snapshot(self.count or SNAPSHOT_DEFAULT, self.kinds)


class SocketSession:
    """One session, which at most one socket is attached to. All methods run in the event loop."""

    def __init__(self, grant: Grant, client: str, stall_seconds: float) -> None:
        self.id = secrets.token_urlsafe(16)
        self.grant = grant
        self.client = client
        self.subscriptions: dict[str, ChannelSubscription] = {}
        self.seq = 0
        self._stall_seconds = stall_seconds
        self._writer: FrameWriter | None = None
        self._pending: dict[tuple[ChannelSubscription | None, Hashable], SharedMessage] = {}
        self._pending_bytes = 0
        self._stale: dict[ChannelSubscription, None] = {}
        self._sent: deque[tuple[bytes, SharedMessage]] = deque()
        self._sent_bytes = 0
        self._sent_at = time.monotonic()
        self._stalled_at: float | None = None

    def attached_to(self, writer: FrameWriter) -> bool:
        """Whether this is the socket that is attached."""
        return self._writer is writer

    # Sending

    def send(self, message: SharedMessage, subscription: ChannelSubscription | None = None) -> None:
        """Send a message now, or queue it."""
        if message.kind == "reset" and subscription is not None:
            self._discard(subscription)
        if not self._pending and not self._stale and self._is_writable:
            self._write(message, subscription)
        else:
            self._queue(message, subscription)

    def reply(self, message: SocketMessage, key: Hashable = None) -> None:
        """Send a message that belongs to no channel."""
        self.send(SharedMessage(message, key))

    def set_state(self, name: str, message: Json) -> None:
        """Send the state of the services, in place of an unsent one."""
        self.reply(msgspec.convert(message, ServicesState), name)

    def send_snapshot(self, subscription: ChannelSubscription) -> None:
        """Send the present state of a subscription in place of what waits of it."""
        self._discard(subscription)
        self._stale[subscription] = None
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the client takes it."""
        self._stalled_at = None
        while self._is_writable:
            if self._pending:
                slot = next(iter(self._pending))
                message = self._pending.pop(slot)
                self._pending_bytes -= len(message.body)
                self._write(message, slot[0])
            elif self._stale:
                subscription = next(iter(self._stale))
                del self._stale[subscription]
                for message in subscription.snapshot():
                    self._write(message, subscription)
            else:
                return

    @property
    def _is_writable(self) -> bool:
        return self._writer is not None and self._writer.is_writable

    def _write(self, message: SharedMessage, subscription: ChannelSubscription | None) -> None:
        encoded_id = b"" if subscription is None else subscription.encoded_id
        self.seq += 1
        MESSAGES.written += 1
        self._sent_at = time.monotonic()
        self._remember(encoded_id, message)
        if self._writer is not None:
            self._writer.write_text(message.text(self.seq, encoded_id))

    def _remember(self, encoded_id: bytes, message: SharedMessage) -> None:
        self._sent.append((encoded_id, message))
        self._sent_bytes += len(message.body)
        while self._sent_bytes > RESUME_BYTES or len(self._sent) > RESUME_MESSAGES:
            self._sent_bytes -= len(self._sent.popleft()[1].body)

    def _queue(self, message: SharedMessage, subscription: ChannelSubscription | None) -> None:
        if subscription is not None and subscription in self._stale:
            MESSAGES.dropped += 1
            return  # the snapshot will have it
        slot = (subscription, message if message.key is None else message.key)
        replaced = self._pending.get(slot)
        self._pending[slot] = message
        self._pending_bytes += len(message.body)
        if replaced is not None:
            MESSAGES.dropped += 1
            self._pending_bytes -= len(replaced.body)
        if self._pending_bytes > PENDING_BYTES:
            MESSAGES.dropped += sum(subscription is not None for subscription, _ in self._pending)
            for each in {slot[0] for slot in self._pending}:
                if each is not None:
                    self._discard(each)
                    self._stale[each] = None

    def _discard(self, subscription: ChannelSubscription) -> None:
        for slot in [slot for slot in self._pending if slot[0] is subscription]:
            self._pending_bytes -= len(self._pending.pop(slot).body)

    # Subscriptions

    def add(self, subscription: ChannelSubscription) -> None:
        """A subscription has begun: its snapshot is sent, if the client wants one."""
        self.subscriptions[subscription.id] = subscription
        subscription.channel.subscribers.add(subscription)
        if subscription.count:
            self.send_snapshot(subscription)

    def remove(self, id: str) -> ChannelSubscription | None:
        """End a subscription; returns it, None for an unknown one."""
        subscription = self.subscriptions.pop(id, None)
        if subscription is not None:
            self._discard(subscription)
            self._stale.pop(subscription, None)
            subscription.channel.subscribers.discard(subscription)
        return subscription

    # The socket

    def attach(self, writer: FrameWriter) -> None:
        """Send to this socket from now on."""
        self._writer = writer
        writer.on_writable = self.flush

    def detach(self) -> None:
        """The socket is lost. What is sent from now on waits."""
        if self._writer is not None:
            self._writer.on_writable = None
        self._writer, self._stalled_at = None, None

    def resume(self, writer: FrameWriter, seq: int) -> None:
        """Continue on another socket, whose client has everything up to ``seq``."""
        if self._writer is not None:
            earlier = self._writer
            self.detach()
            earlier.close_with(TAKEN_OVER, "another socket has resumed the session")
        missing = self.seq - seq
        complete = 0 <= missing <= len(self._sent)
        self.attach(writer)
        if complete:
            for number, (encoded_id, message) in enumerate(list(self._sent)[len(self._sent) - missing :], seq + 1):
                writer.write_text(message.text(number, encoded_id))
        else:
            for subscription in self.subscriptions.values():
                self._discard(subscription)
                self._stale[subscription] = None
        resumed = Resumed(self.id, complete, 0 if complete else max(missing, 0), list(self.subscriptions))
        self._write(SharedMessage(resumed), None)
        self.flush()

    def close(self, code: int, reason: str) -> None:
        """Close the socket, if there is one, with a code that says why."""
        if self._writer is not None:
            self._writer.close_with(code, reason)

    def tick(self, now: float) -> None:
        """Send a ping to a socket that has heard nothing for long, and close one whose client does not read."""
        if self._writer is None:
            return
        if not self._writer.is_stalled:
            if now - self._sent_at >= PING_SECONDS:
                self.reply(SocketPing(int(time.time() * 1000)), "ping")
            return
        if self._stalled_at is None:
            self._stalled_at = now
        elif now - self._stalled_at > self._stall_seconds:
            self._stalled_at = now
            SLOW_SOCKETS.inc()
            self.close(TOO_SLOW, f"too slow: nothing was read for {self._stall_seconds:.0f} s; connect and resume")
