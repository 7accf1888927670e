"""From log prices at the ends of bars to bars."""

from __future__ import annotations

import numpy as np

from tapedeck_common.store.bars import Floats


def bridge_extremes(move: Floats, variance: Floats, high: Floats, low: Floats) -> tuple[Floats, Floats]:
    """Highest and lowest of a Brownian path that starts at 0 and ends at ``move``, by uniform numbers in (0, 1].

    max = (x + √(x² − 2 v ln u)) / 2, min = (x − √(x² − 2 v ln u')) / 2, where v is the path's variance: each
    has just the distribution that it has in continuous time (Glasserman §6.4, from the reflection principle);
    that one is independent of the other given x is an approximation. All arrays have one shape.
    """
    top = (move + np.sqrt(move**2 - 2 * variance * np.log(high))) / 2
    bottom = (move - np.sqrt(move**2 - 2 * variance * np.log(low))) / 2
    return top, bottom


def volumes(normals: Floats, mean: Floats, deviation: float) -> Floats:
    """Lognormal volumes with the mean given: mean × exp(s z − s²/2), Clark 1973."""
    return mean * np.exp(deviation * normals - deviation**2 / 2)
