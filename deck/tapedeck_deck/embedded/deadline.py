"""Time limits that allow for a busy or slow machine."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from statistics import median

MAX_STRETCH = 20.0
_SAMPLE_SECONDS = 0.5
_LOOPS, _LOOPS_SECONDS = 10_000, 0.0005  # an empty Python loop, and what it takes on an ordinary machine at most


class Deadline:
    """A time limit in seconds of an idle machine of ordinary speed.

    While n processes compete for each processor, a second of wall time counts as 1/n of a second, down to
    1/MAX_STRETCH. A machine that executes Python slowly, for instance a throttled container, stretches it likewise.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._speed = _Speed()
        self.restart()

    def restart(self) -> None:
        """Grant the whole time again, for instance after progress."""
        self._left, self._last = self.seconds, time.monotonic()

    def passed(self) -> bool:
        """Whether the time is up. Samples the load, so call it at least every few seconds."""
        now = time.monotonic()
        self._left -= (now - self._last) / self._speed.stretch()
        self._last = now
        return self._left < 0

    @property
    def spent(self) -> float:
        """The seconds that were counted since the start or the last restart."""
        return self.seconds - self._left


class _Speed:
    """How much longer than on an idle machine a process takes: from 1 to MAX_STRETCH."""

    def __init__(self) -> None:
        self._sampled_at = 0.0
        self._loops: deque[float] = deque(maxlen=5)
        self._stretch = 1.0

    def stretch(self) -> float:
        now = time.monotonic()
        if now - self._sampled_at >= _SAMPLE_SECONDS:
            self._sampled_at = now
            self._loops.append(_loop_seconds() / _LOOPS_SECONDS)
            self._stretch = min(max(1.0, _runnable() / (os.cpu_count() or 1), median(self._loops)), MAX_STRETCH)
        return self._stretch


def _runnable() -> float:
    """How many processes run or wait for a processor now."""
    try:
        return float(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
    except (OSError, IndexError, ValueError):
        return os.getloadavg()[0]


def _loop_seconds() -> float:
    began = time.perf_counter()
    for _ in range(_LOOPS):
        pass
    return time.perf_counter() - began
