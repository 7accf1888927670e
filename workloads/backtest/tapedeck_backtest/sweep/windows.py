"""Rolling windows of a walk-forward: search in one part, trade the best in the part that follows."""

from __future__ import annotations

from dataclasses import dataclass

from tapedeck_backtest.errors import RunFailed
from tapedeck_crds.sweep import DAY_MS, Sweep


@dataclass(frozen=True)
class Window:
    """Opens in [train_from, train_to) are searched, those in [train_to, test_to) traded; milliseconds UTC.

    Without a walk-forward there is one window, whose ``test_to`` is its ``train_to``: nothing is left to trade.
    """

    number: int
    train_from: int
    train_to: int
    test_to: int

    @property
    def tested(self) -> bool:
        """Whether the best is traded after the search."""
        return self.test_to > self.train_to


def windows(sweep: Sweep, first: int, end: int) -> list[Window]:
    """The windows over bars with opens in [first, end). The last test may be cut off by the end, never empty.

    Raises RunFailed (BadSweep) where not even one window has a bar to trade after it.
    """
    if sweep.walk_forward is None:
        return [Window(0, first, end, end)]
    train, test = sweep.walk_forward.train_days * DAY_MS, sweep.walk_forward.test_days * DAY_MS
    found: list[Window] = []
    while (start := first + len(found) * test) + train < end:
        found.append(Window(len(found), start, start + train, min(start + train + test, end)))
    if not found:
        raise RunFailed(
            "BadSweep",
            f"sweep.walkForward.trainDays: got {sweep.walk_forward.train_days}, expected less than the "
            f"{(end - first) / DAY_MS:g} days of bars that there are",
        )
    return found
