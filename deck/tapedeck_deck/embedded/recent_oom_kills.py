"""Whether the kernel has killed a process a moment ago because memory was missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from tapedeck_common.oom_kills import oom_kills

INTERVAL_SECONDS = 2.0  # a killed process may take a while to end


class RecentOomKills:
    """The kernel's count of OOM kills, compared with the count of two to four seconds ago.

    The kernel counts for the whole machine, so that a kill is noticed in whatever cgroup a process is.
    """

    def __init__(self, count: Callable[[], int | None] = oom_kills) -> None:
        self._count = count
        self._before = self._last = count()
        self._read_at = time.monotonic()

    def note(self) -> None:
        """Remember the count. Call this often: it reads every two seconds."""
        now = time.monotonic()
        if now - self._read_at >= INTERVAL_SECONDS:
            self._before, self._last, self._read_at = self._last, self._count(), now

    def any(self) -> bool:
        """Whether there was one; False where the kernel does not count them."""
        count = self._count()
        return count is not None and self._before is not None and count > self._before
