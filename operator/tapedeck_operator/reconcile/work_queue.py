"""A rate-limited work queue: each key is queued at most once and processed by at most one worker."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable

from tapedeck_operator.reconcile.api import ObjectKey

BACKOFF_FIRST, BACKOFF_MAX = 0.25, 60.0
LIMIT = 100_000


class WorkQueue:
    """Keys with the earliest time to process each. ``clock`` gives seconds."""

    def __init__(self, limit: int = LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._ready_at: dict[ObjectKey, float] = {}
        self._heap: list[tuple[float, ObjectKey]] = []
        self._processing: set[ObjectKey] = set()
        self._failures: dict[ObjectKey, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: ObjectKey, delay: float = 0.0) -> bool:
        """Queue a key for ``delay`` seconds from now; an earlier time stands. False where the queue is full."""
        at = self._clock() + delay
        queued = self._ready_at.get(key)
        if queued is not None and queued <= at:
            return True
        if queued is None and len(self._ready_at) >= self._limit:
            return False
        self._ready_at[key] = at
        heapq.heappush(self._heap, (at, key))
        self._changed.set()
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
        while True:
            key, wait = self._next()
            if key is not None:
                del self._ready_at[key]
                self._processing.add(key)
                return key
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: ObjectKey) -> None:
        """The worker has processed the key; if it was queued again meanwhile, another worker may take it."""
        self._processing.discard(key)
        if key in self._ready_at:
            heapq.heappush(self._heap, (self._ready_at[key], key))
            self._changed.set()

    def state(self) -> tuple[int, float]:
        """The number of keys that could be processed now, and the longest time that one has waited, in seconds."""
        now = self._clock()
        waits = [now - at for at in self._ready_at.values() if at <= now]
        return len(waits), max(waits, default=0.0)

    def _next(self) -> tuple[ObjectKey | None, float | None]:
        """The next key, or the seconds to wait for one (None: until a key is added)."""
        while self._heap:
            at, key = self._heap[0]
            if self._ready_at.get(key) != at or key in self._processing:
                heapq.heappop(self._heap)  # superseded by an earlier time, or pushed again by ``done``
                continue
            wait = at - self._clock()
            if wait > 0:
                return None, wait
            heapq.heappop(self._heap)
            return key, 0.0
        return None, None
