"""Which resources are due. Each is there at most once, and in the hands of at most one worker."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable

from tapedeck_operator.cluster.cache import Key

BACKOFF_FIRST, BACKOFF_MAX = 0.25, 60.0
LIMIT = 100_000


class WorkQueue:
    """Keys with the time from which each is due. ``clock`` gives seconds."""

    def __init__(self, limit: int = LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: Key, delay: float = 0.0) -> bool:
        """Have a key done after so many seconds, or sooner if it is due sooner; False where the queue is full."""
        at = self._clock() + delay
        known = self._due.get(key)
        if known is not None and known <= at:
            return True
        if known is None and len(self._due) >= self._limit:
            return False
        self._due[key] = at
        heapq.heappush(self._heap, (at, key))
        self._changed.set()
        return True

    def retry(self, key: Key) -> float:
        """Have a key done again after a failure; returns the wait, which doubles up to a minute."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait = float(min(BACKOFF_FIRST * 2 ** min(failures - 1, 16), BACKOFF_MAX))
        self.add(key, wait)
        return wait

    def forgive(self, key: Key) -> None:
        """The next failure waits as the first does."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key that is due; ``done`` gives it back."""
        while True:
            key, wait = self._next()
            if key is not None:
                del self._due[key]
                self._busy.add(key)
                return key
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """The worker has finished with a key; what came in meanwhile is due now."""
        self._busy.discard(key)
        if key in self._due:
            heapq.heappush(self._heap, (self._due[key], key))
            self._changed.set()

    def state(self) -> tuple[int, float]:
        """How many keys are due, and how many seconds the one that is due longest has waited."""
        now = self._clock()
        waits = [now - at for at in self._due.values() if at <= now]
        return len(waits), max(waits, default=0.0)

    def _next(self) -> tuple[Key | None, float | None]:
        """The next key, or how long to wait for one (None: until something is added)."""
        while self._heap:
            at, key = self._heap[0]
            if self._due.get(key) != at or key in self._busy:
                heapq.heappop(self._heap)  # moved forward, done already, or put back by ``done``
                continue
            wait = at - self._clock()
            if wait > 0:
                return None, wait
            heapq.heappop(self._heap)
            return key, 0.0
        return None, None
