"""A channel: one series, run or replay, and the clients that follow it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, Protocol

import msgspec

from tapedeck_gateway.push.protocol.messages import ResetMessage
from tapedeck_gateway.push.shared_message import SharedMessage

JumpReason = Literal["seek", "loop"]
SNAPSHOTS_MAX = 8  # of different lengths


class Subscriber(Protocol):
    """Who follows a channel."""

    def send(self, message: SharedMessage) -> None:
        """Send a message, or not, where its kind is not wanted."""

    def send_snapshot(self) -> None:
        """Send the present state in place of what waits."""


class Channel(ABC):
    """Publishes each change to all its subscribers. All methods run in the event loop, but ``poll``.

    ``name`` says what it is. ``push`` is called after the changes of the topic reader in ``changed_by``.
    """

    changed_by: frozenset[str] = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscribers: set[Subscriber] = set()
        self._snapshots: dict[object, list[SharedMessage]] = {}  # since the last message

    def publish(self, message: msgspec.Struct, key: object = None) -> None:
        """Send a message to all subscribers; ``key`` as in SharedMessage."""
        self._snapshots.clear()
        shared = SharedMessage(message, key)
        for subscriber in self.subscribers:
            subscriber.send(shared)

    def publish_snapshots(self) -> None:
        """Send the present state to all subscribers in place of what waits."""
        self._snapshots.clear()
        for subscriber in self.subscribers:
            subscriber.send_snapshot()

    def restart(self, reason: JumpReason) -> None:
        """What was published is no longer valid: send a reset and the present state."""
        self.publish(ResetMessage(reason), "reset")
        self.publish_snapshots()

    def snapshot(self, count: int, kinds: frozenset[str]) -> list[SharedMessage]:
        """The present state: the newest ``count`` items. Encoded once for subscribers that want the same."""
        found = self._snapshots.get((count, kinds))
        if found is None:
            if len(self._snapshots) >= SNAPSHOTS_MAX:  # a client may ask for one of each length
                self._snapshots.clear()
            found = self._snapshots[count, kinds] = [
                message for each in self.state(count) if (message := SharedMessage(each)).kind in kinds
            ]
        return found

    @abstractmethod
    def state(self, count: int) -> list[msgspec.Struct]:
        """The messages of a snapshot of the newest ``count`` items."""

    @abstractmethod
    def close(self) -> None:
        """Called once, after the last subscriber."""

    @abstractmethod
    def push(self) -> None:
        """Publish what has changed."""

    @property
    def must_poll(self) -> bool:
        """Whether something that no topic tells of can change it."""
        return False

    def poll(self) -> bool:
        """Look for such a change; returns whether to push. Runs in a thread. Raises Unavailable."""
        return False
