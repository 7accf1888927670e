"""Stochastic processes of a synthetic market: returns, jumps, regimes, the extremes of a bar, volumes.

A year has 365 days; ``dt`` is in years.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tapedeck_common.store.bars import Floats, Ints

YEAR_MS = 365 * 86_400_000


def diffusion(normals: Floats, drift: Floats, volatility: Floats, dt: float) -> Floats:
    """Log returns of geometric Brownian motion: (μ − σ²/2) dt + σ √dt z, so that E[S(t)] = S(0) exp(μ t).

    ``normals`` has shape (steps, n); drift and volatility are annual, of shape (n,) or (steps, n).
    Black & Scholes 1973; Glasserman, Monte Carlo Methods in Financial Engineering, §3.2.
    """
    return np.asarray((drift - volatility**2 / 2) * dt + volatility * np.sqrt(dt) * normals)


def jump_compensation(per_year: float, mean: float, deviation: float) -> float:
    """The annual drift that jumps add to the expected price: λ κ with κ = exp(m + s²/2) − 1."""
    return per_year * float(np.expm1(mean + deviation**2 / 2))


def jumps(generator: np.random.Generator, shape: tuple[int, int], rate: float, mean: float, deviation: float) -> Floats:
    """Sums of N jumps of log size normal(m, s²), N Poisson of mean ``rate`` (jumps per bar), of shape (steps, n).

    Given N the sum is normal(N m, N s²). Merton 1976, Option pricing when underlying returns are discontinuous;
    Glasserman §3.5.1.
    """
    numbers = generator.poisson(rate, shape)
    out = np.zeros(shape)
    hit = np.nonzero(numbers)
    count = numbers[hit].astype(np.float64)
    out[hit] = count * mean + np.sqrt(count) * deviation * generator.standard_normal(len(count))
    return out


def regime_path(leave: Floats, choose: Floats, mean_bars: Sequence[float], state: int) -> Ints:
    """The state of each step of a Markov chain, given the state before the first step; shape (steps,).

    ``leave`` and ``choose`` are uniform on [0, 1), one of each per step. A step leaves state i with probability
    1 / mean_bars[i], so that it lasts a geometric number of steps with that mean, for one of the others with equal
    probability. Hamilton 1989, A new approach to the economic analysis of nonstationary time series.
    """
    steps, others = len(leave), len(mean_bars) - 1
    exits = [np.flatnonzero(leave < 1 / bars) for bars in mean_bars]
    path = np.empty(steps, dtype=np.int64)
    at = 0
    while at < steps:  # one iteration for each change of state
        place = int(np.searchsorted(exits[state], at))
        end = int(exits[state][place]) if place < len(exits[state]) else steps
        path[at:end] = state
        if end < steps:
            other = int(choose[end] * others)
            state = other + (other >= state)
            path[end] = state
        at = end + 1
    return path


def bridge_extremes(move: Floats, variance: Floats, high: Floats, low: Floats) -> tuple[Floats, Floats]:
    """Maximum and minimum of a Brownian path from 0 to ``move``, from uniform numbers ``high``, ``low`` in (0, 1].

    max = (x + √(x² − 2 v ln u)) / 2, min = (x − √(x² − 2 v ln u')) / 2, where v is the variance of the path. Each has
    exactly its distribution in continuous time (Glasserman §6.4, from the reflection principle); that they are
    independent given x is an approximation. All arrays have one shape.
    """
    top = (move + np.sqrt(move**2 - 2 * variance * np.log(high))) / 2
    bottom = (move - np.sqrt(move**2 - 2 * variance * np.log(low))) / 2
    return top, bottom


def volumes(normals: Floats, mean: Floats, deviation: float) -> Floats:
    """Lognormal volumes of the given mean: mean × exp(s z − s²/2). Clark 1973."""
    return mean * np.exp(deviation * normals - deviation**2 / 2)
