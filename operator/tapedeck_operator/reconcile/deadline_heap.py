"""Keys that are due at a time each, and waiting for the first of them."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class DeadlineHeap(Generic[K]):
    """Each key is in it at most once, with the time in seconds of ``clock`` at which it is due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []  # with a count, so that keys need no order
        self._pushed = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due_at)

    def times(self) -> Collection[float]:
        """When the keys are due."""
        return self._due_at.values()

    def time_of(self, key: K) -> float | None:
        """When a key is due; None where it is not in the heap."""
        return self._due_at.get(key)

    def set(self, key: K, at: float) -> None:
        """Add a key, or replace its time."""
        self._due_at[key] = at
        self._pushed += 1
        heapq.heappush(self._heap, (at, self._pushed, key))
        self._changed.set()

    def discard(self, key: K) -> None:
        """Take a key out, if it is in the heap."""
        self._due_at.pop(key, None)

    async def pop(self) -> K:
        """Wait until a key is due and take it out. Several tasks may wait."""
        while True:
            self._drop_replaced()
            wait = self._heap[0][0] - self._clock() if self._heap else None
            if wait is not None and wait <= 0:
                key = heapq.heappop(self._heap)[2]
                del self._due_at[key]
                return key
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _drop_replaced(self) -> None:
        while self._heap and self._due_at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
