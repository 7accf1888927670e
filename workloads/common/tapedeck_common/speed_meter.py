"""How fast a replay runs, measured by its positions."""

from __future__ import annotations

from collections import deque

SAMPLE_SECONDS = 0.2
WINDOW_SECONDS = 5.0
HEARTBEAT_SECONDS = 1.5  # a replay that moves says so within a second: see VirtualClock


class SpeedMeter:
    """Virtual seconds per second over the last WINDOW_SECONDS. Wall times are monotonic seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def clear(self) -> None:
        """Begin again: the position has jumped."""
        self._samples.clear()

    def note(self, wall: float, position: int) -> None:
        """The replay has reached a position, milliseconds of virtual time."""
        samples = self._samples
        if samples and samples[-1][1] == position:
            return
        if len(samples) > 1 and wall - samples[-2][0] < SAMPLE_SECONDS:
            samples.pop()
        samples.append((wall, position))
        while len(samples) > 2 and wall - samples[1][0] >= WINDOW_SECONDS:
            samples.popleft()

    def speed(self, wall: float) -> float:
        """The speed at a wall time; 0 while the position stands still, and before it has moved for SAMPLE_SECONDS."""
        while len(self._samples) > 2 and wall - self._samples[1][0] >= WINDOW_SECONDS:
            self._samples.popleft()
        if len(self._samples) < 2:
            return 0.0
        (begun, first), (moved, last) = self._samples[0], self._samples[-1]
        if moved - begun < SAMPLE_SECONDS or wall - moved > HEARTBEAT_SECONDS:
            return 0.0
        return (last - first) / 1000 / (moved - begun)
