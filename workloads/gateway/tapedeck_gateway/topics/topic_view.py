"""A topic as the topic reader follows it for charts."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from tapedeck_common.wire import MessageHeaders


class TopicView(ABC):
    """What was read of one topic of the replay ``uid``. It is kept open while charts watch it."""

    def __init__(self, uid: str, partitions: int) -> None:
        self.uid = uid
        self._watchers = 0
        self._count_lock = threading.Lock()
        self._behind = set(range(partitions))
        self._caught_up = threading.Event()

    @abstractmethod
    def apply(self, partition: int, headers: MessageHeaders, value: bytes) -> bool:
        """Apply a record; returns whether a chart may have changed.

        Raises InvalidInput and msgspec.DecodeError for an invalid record.
        """

    def is_ahead(self, partition: int) -> bool:
        """Whether the partition holds so many pending records that reading it must be paused."""
        return False

    @property
    def watched(self) -> bool:
        """Whether a chart keeps it open."""
        return self._watchers > 0

    def watch(self) -> None:
        """Keep it open, until as many calls of ``unwatch``. Any thread may call either."""
        with self._count_lock:
            self._watchers += 1

    def unwatch(self) -> None:
        """Count one chart less."""
        with self._count_lock:
            self._watchers -= 1

    def wait_caught_up(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until the topic is read to the end that it had when reading started."""
        return self._caught_up.wait(timeout)

    @property
    def caught_up(self) -> bool:
        """Whether the topic is read to the end that it had when reading started."""
        return self._caught_up.is_set()

    def mark_caught_up(self, partition: int) -> None:
        """The reader has reached the end of a partition."""
        self._behind.discard(partition)
        if not self._behind:
            self._caught_up.set()
