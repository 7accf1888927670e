"""Time limits of foreign code, which stands still with its pod: on a suspended machine, or in a frozen container."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_SECONDS = 0.5


class RunningTime:
    """Seconds while the pod runs. ``now`` is called at least every LOOK_SECONDS; a longer pause counts as that."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now = self._looked_at = clock()

    def now(self) -> float:
        """Monotonic seconds without those in which nobody looked."""
        looked_at = self._clock()
        self._now += min(looked_at - self._looked_at, LOOK_SECONDS)
        self._looked_at = looked_at
        return self._now
