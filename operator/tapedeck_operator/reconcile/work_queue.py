"""A rate-limited work queue: each key is queued at most once and processed by at most one worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import chain

from tapedeck_operator.reconcile.api import ObjectKey
from tapedeck_operator.reconcile.deadline_heap import DeadlineHeap

BACKOFF_FIRST, BACKOFF_MAX = 0.25, 60.0
LIMIT = 100_000


class WorkQueue:
    """Keys with the earliest time to process each. ``clock`` gives seconds."""

    def __init__(self, limit: int = LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._waiting = DeadlineHeap[ObjectKey](clock)
        self._processing: dict[ObjectKey, float | None] = {}  # when to process it again; None where it is not queued
        self._failures: dict[ObjectKey, int] = {}

    def add(self, key: ObjectKey, delay: float = 0.0) -> bool:
        """Queue a key for ``delay`` seconds from now; an earlier time stands. False where the queue is full."""
        at = self._clock() + delay
        queued = self._processing[key] if key in self._processing else self._waiting.time_of(key)
        if queued is not None and queued <= at:
            return True
        if queued is None and len(self._times()) >= self._limit:
            return False
        if key in self._processing:
            self._processing[key] = at
        else:
            self._waiting.set(key, at)
        return True

    def retry(self, key: ObjectKey) -> float:
        """Queue a key after a failure; returns the delay in seconds, which doubles up to a minute."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = float(min(BACKOFF_FIRST * 2 ** min(failures - 1, 16), BACKOFF_MAX))
        self.add(key, delay)
        return delay

    def reset_backoff(self, key: ObjectKey) -> None:
        """Forget a key's failures: the next one waits as long as the first."""
        self._failures.pop(key, None)

    async def get(self) -> ObjectKey:
        """Wait for the next key. The worker calls ``done`` with it."""
        key = await self._waiting.pop()
        self._processing[key] = None
        return key

    def done(self, key: ObjectKey) -> None:
        """The worker has processed the key; if it was queued again meanwhile, another worker may take it."""
        again = self._processing.pop(key, None)
        if again is not None:
            self._waiting.set(key, again)

    def state(self) -> tuple[int, float]:
        """The number of keys that could be processed now, and the longest time that one has waited, in seconds."""
        now = self._clock()
        waits = [now - at for at in self._times() if at <= now]
        return len(waits), max(waits, default=0.0)

    def _times(self) -> list[float]:
        return [at for at in chain(self._waiting.times(), self._processing.values()) if at is not None]
