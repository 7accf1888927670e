"""The account of a walk-forward: it trades the out-of-sample parts of all windows, one after another.

Each part starts without a position; one that is open at its end is valued at the last close.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tapedeck_backtest.report.results import Results
from tapedeck_backtest.sweep.outcome import WindowCounts
from tapedeck_backtest.sweep.windows import WindowTest
from tapedeck_backtest.trials.trial import TrialRunner
from tapedeck_common.store.bars import Ints
from tapedeck_crds.intervals import BAR_LENGTHS


def out_of_sample(trials: TrialRunner, tests: Sequence[WindowTest], results: Results) -> WindowCounts:
    """Trade the tests of all windows again, in order, each with the money of the one before, into ``results``.

    A window whose search or test failed does not trade. Raises RunFailed.
    """
    counts = WindowCounts()
    for test in tests:
        window, fills = test.window, results.fills
        cash = results.value[-1] if len(results.value) else results.start
        steps = len(results.ts)
        results.positions = results.orders = lambda: ()  # those of the last window count
        if test.traded and cash > 0:
            trials.repeat_test(window, test.params, cash, results)
        idle = _events(trials, window.train_to, window.test_to)[len(results.ts) - steps :]
        if len(idle):
            left = results.value[-1] if len(results.value) else cash
            results.points(idle, np.full(len(idle), left), np.full(len(idle), left))
        counts.windows += 1
        counts.cold_windows += test.cold
        counts.empty_windows += results.fills == fills
        counts.open_windows += bool(results.positions())
    results.closes = lambda: _closes(trials, tests[0].window.train_to, tests[-1].window.test_to)
    return counts


def _events(trials: TrialRunner, start: int, end: int) -> Ints:
    """The event times of the bars with opens in [start, end)."""
    parts = [columns.event[_between(trials, columns.event, start, end)] for columns in trials.series.values()]
    return np.unique(np.concatenate(parts))


def _closes(trials: TrialRunner, start: int, end: int) -> list[tuple[float, float]]:
    """The first and the last close of each symbol with bars in [start, end)."""
    parts = (columns.close[_between(trials, columns.event, start, end)] for columns in trials.series.values())
    return [(float(closes[0]), float(closes[-1])) for closes in parts if len(closes)]


def _between(trials: TrialRunner, event: Ints, start: int, end: int) -> slice:
    """The bars with opens in [start, end)."""
    length = BAR_LENGTHS[trials.interval]
    low, high = np.searchsorted(event, [length.close_of(length.first_open(at)) for at in (start, end)])
    return slice(int(low), int(high))
