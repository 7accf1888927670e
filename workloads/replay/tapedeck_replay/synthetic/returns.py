"""Log returns of a bar's length. A year has 365 days; ``dt`` is in years."""

from __future__ import annotations

import numpy as np

from tapedeck_common.store.bars import Floats

YEAR_MS = 365 * 86_400_000


def diffusion(normals: Floats, drift: Floats, volatility: Floats, dt: float) -> Floats:
    """Geometric Brownian motion: (μ − σ²/2) dt + σ √dt z, so that E[S(t)] = S(0) exp(μ t).

    ``normals`` has shape (steps, n); drift and volatility are annual, of shape (n,) or (steps, n).
    Black & Scholes 1973; Glasserman, Monte Carlo Methods in Financial Engineering, §3.2.
    """
    return np.asarray((drift - volatility**2 / 2) * dt + volatility * np.sqrt(dt) * normals)


def jump_compensation(per_year: float, mean: float, deviation: float) -> float:
    """What jumps add to the drift of the expected price, a year: λ κ with κ = exp(m + s²/2) − 1."""
    return per_year * float(np.expm1(mean + deviation**2 / 2))


def jumps(generator: np.random.Generator, shape: tuple[int, int], rate: float, mean: float, deviation: float) -> Floats:
    """Sums of N jumps of log size normal(m, s²), N Poisson of mean ``rate`` (jumps a bar), of a shape (steps, n).

    Given N the sum is normal(N m, N s²). Merton 1976, Option pricing when underlying returns are discontinuous;
    Glasserman §3.5.1.
    """
    numbers = generator.poisson(rate, shape)
    out = np.zeros(shape)
    hit = np.nonzero(numbers)
    count = numbers[hit].astype(np.float64)
    out[hit] = count * mean + np.sqrt(count) * deviation * generator.standard_normal(len(count))
    return out
