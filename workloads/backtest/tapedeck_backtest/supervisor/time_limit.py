"""limits.barSeconds, from outside: code that holds the interpreter's lock, or ignores signals, is ended as well."""

from __future__ import annotations

from enum import Enum

GRACE_SECONDS = 5.0  # between the interrupt, which shows the strategy's line, and the end of its process
OWN_SECONDS = 300.0  # for Tapedeck's own code in that process: loading libraries, resampling, figures


class Overtime(Enum):
    """What to do with a process that has not been heard of for too long."""

    NONE = 0
    INTERRUPT = 1
    KILL = 2


class TimeLimit:
    """Expects a sign of life every ``seconds`` while the process has work. Times are those of RunningTime."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._heard_at: float | None = None
        self._in_strategy = False
        self._interrupted_at: float | None = None

    def work_begins(self, now: float) -> None:
        """The process has been given work."""
        self._heard_at, self._interrupted_at = now, None

    def work_ends(self) -> None:
        """The process waits for its pod."""
        self._heard_at = self._interrupted_at = None

    def heard(self, now: float) -> None:
        """The process gave a sign of life, which counts while it has work."""
        if self._heard_at is not None:
            self.work_begins(now)

    def strategy_runs(self, runs: bool) -> None:
        """Whether the strategy's code runs, whose limit is ``seconds``."""
        self._in_strategy = runs

    def overtime(self, now: float) -> Overtime:
        """What to do now: interrupt it once, and end it GRACE_SECONDS later."""
        allowed = self.seconds if self._in_strategy else max(self.seconds, OWN_SECONDS)
        if self._heard_at is None or now - self._heard_at < allowed:
            return Overtime.NONE
        if self._interrupted_at is None:
            self._interrupted_at = now
            return Overtime.INTERRUPT
        return Overtime.KILL if now - self._interrupted_at >= GRACE_SECONDS else Overtime.NONE
