"""Rolling windows of a walk-forward: search in-sample, then trade the best trial out-of-sample."""

from __future__ import annotations

from dataclasses import dataclass

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sweep.search_space import Params
from tapedeck_crds.sweep import DAY_MS, Sweep


@dataclass(frozen=True)
class SweepWindow:
    """In-sample opens [train_from, train_to) and out-of-sample opens [train_to, test_to), in ms UTC.

    A sweep without walk-forward has one window without an out-of-sample part: ``test_to`` equals ``train_to``.
    """

    number: int
    train_from: int
    train_to: int
    test_to: int

    @property
    def has_test(self) -> bool:
        """Whether the best trial is traded out-of-sample after the search."""
        return self.test_to > self.train_to


@dataclass(frozen=True)
class WindowTest:
    """The test of a window: what it trades, if its search found anything, and whether its indicators start cold."""

    window: SweepWindow
    params: Params
    traded: bool
    cold: bool


def sweep_windows(sweep: Sweep, first: int, end: int) -> list[SweepWindow]:
    """The windows over bars with opens in [first, end). ``end`` may cut the last test short, but never to nothing.

    Raises RunFailed (BadSweep) if the bars do not reach beyond the in-sample part of the first window.
    """
    if sweep.walk_forward is None:
        return [SweepWindow(0, first, end, end)]
    train, test = sweep.walk_forward.train_days * DAY_MS, sweep.walk_forward.test_days * DAY_MS
    windows: list[SweepWindow] = []
    while (start := first + len(windows) * test) + train < end:
        windows.append(SweepWindow(len(windows), start, start + train, min(start + train + test, end)))
    if not windows:
        raise RunFailed(
            "BadSweep",
            f"sweep.walkForward.trainDays: got {sweep.walk_forward.train_days}, expected less than the "
            f"{(end - first) / DAY_MS:g} days of bars in the range",
        )
    return windows
