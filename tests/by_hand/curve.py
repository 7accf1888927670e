"""An account's values, and its drawdowns found step by step."""

from __future__ import annotations

import numpy as np
import pandas as pd

T0 = 1_522_800_000_000
MINUTE = 60_000


def walk(seed: int, count: int = 5_000, spacing: int = MINUTE) -> tuple[pd.Series, float]:
    """Values at random multiples of ``spacing`` (ms), with some long gaps."""
    rng = np.random.default_rng(seed)
    minutes = np.sort(rng.choice(np.arange(1, 3 * count), size=count, replace=False))
    minutes = minutes[(minutes <= 400) | (minutes > 760)]
    value = 1_000 * np.exp(np.cumsum(rng.normal(0, 0.001, len(minutes))))
    return pd.Series(value, index=pd.to_datetime(T0 + spacing * minutes, unit="ms")), 1_000.0


def ms(series: pd.Series) -> np.ndarray:
    return np.array([round(stamp.timestamp() * 1000) for stamp in series.index])


def drawdowns(start: float, series: pd.Series) -> list[tuple[float, float, int, int, int | None]]:
    """Every drawdown, found step by step: percent, amount, peak, trough, end."""
    result, under = [], None
    peak, peak_ts = start, ms(series)[0] - MINUTE
    for ts, value in zip(ms(series).tolist(), series.tolist(), strict=True):
        if value >= peak:
            if under is not None:
                result.append((*under, ts))
            peak, peak_ts, under = value, ts, None
        elif under is None or 100 * (1 - value / peak) > under[0]:
            under = (100 * (1 - value / peak), peak - value, peak_ts, ts)
    return [*result, (*under, None)] if under is not None else result
