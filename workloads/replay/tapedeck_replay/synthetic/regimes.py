"""Regimes: a Markov chain whose states last a geometric number of bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tapedeck_common.store.bars import Floats, Ints


def regime_path(leave: Floats, choose: Floats, mean_bars: Sequence[float], state: int) -> Ints:
    """The state of each step, from the state of the step before the first.

    ``leave`` and ``choose`` are uniform on [0, 1), one of each a step. A state i is left with probability
    1 / mean_bars[i] at each step, so that it lasts a geometric number of steps of that mean, for one of the
    others with equal probability. Hamilton 1989, A new approach to the economic analysis of nonstationary
    time series. One turn of the loop a change of state.
    """
    steps, others = len(leave), len(mean_bars) - 1
    exits = [np.flatnonzero(leave < 1 / bars) for bars in mean_bars]
    path = np.empty(steps, dtype=np.int64)
    at = 0
    while at < steps:
        place = int(np.searchsorted(exits[state], at))
        end = int(exits[state][place]) if place < len(exits[state]) else steps
        path[at:end] = state
        if end < steps:
            other = int(choose[end] * others)
            state = other + (other >= state)
            path[end] = state
        at = end + 1
    return path
