"""The metrics against formulas written another way, with pandas."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tapedeck_backtest import metrics

T0 = 1_522_800_000_000
MINUTE = 60_000


def walk(seed: int, count: int = 5_000) -> tuple[pd.Series, float]:
    """Values at some of the minutes, with hours in which there are none."""
    rng = np.random.default_rng(seed)
    minutes = np.sort(rng.choice(np.arange(1, 3 * count), size=count, replace=False))
    minutes = minutes[(minutes <= 400) | (minutes > 760)]
    value = 1_000 * np.exp(np.cumsum(rng.normal(0, 0.001, len(minutes))))
    return pd.Series(value, index=pd.to_datetime(T0 + MINUTE * minutes, unit="ms")), 1_000.0


def ms(series: pd.Series) -> np.ndarray:
    return np.array([round(stamp.timestamp() * 1000) for stamp in series.index])


@pytest.mark.parametrize("seed", range(5))
def test_sharpe(seed: int) -> None:
    series, start = walk(seed)
    # closed on the right: the value known at 10:00 belongs to the hour from 9 to 10
    hourly = series.resample("1h", closed="right", label="right").last().ffill()
    returns = pd.concat([pd.Series([start]), hourly]).pct_change().dropna()
    wanted = returns.mean() / returns.std() * math.sqrt(24 * 365)
    assert metrics.sharpe(start, ms(series), series.to_numpy(), MINUTE) == pytest.approx(wanted, rel=1e-9)


def test_sharpe_of_daily_bars_is_annualised_by_days() -> None:
    day = 86_400_000
    value = np.array([101.0, 99.0, 104.0, 103.0])
    returns = pd.Series([100.0, *value]).pct_change().dropna()
    wanted = returns.mean() / returns.std() * math.sqrt(365)
    assert metrics.sharpe(100.0, day * np.arange(1, 5), value, day) == pytest.approx(wanted)


def test_sharpe_undefined() -> None:
    hour = metrics.HOUR_MS
    assert metrics.sharpe(1.0, np.array([], dtype=np.int64), np.array([]), MINUTE) is None
    assert metrics.sharpe(1.0, np.array([hour]), np.array([2.0]), MINUTE) is None
    assert metrics.sharpe(1.0, hour * np.arange(1, 4), np.array([1.0, 1.0, 1.0]), MINUTE) is None


@pytest.mark.parametrize("seed", range(5))
def test_max_drawdown(seed: int) -> None:
    series, start = walk(seed)
    worst, peak = 0.0, start
    for value in series:
        peak = max(peak, value)
        worst = max(worst, 100 * (1 - value / peak))
    assert metrics.max_drawdown_percent(start, series.to_numpy()) == pytest.approx(worst)
    assert metrics.max_drawdown_percent(start, np.array([start + 1, start + 2])) == 0.0


def test_trades() -> None:
    pnl = np.array([3.0, -1.0, 0.0, 5.0, -3.0])
    assert metrics.win_rate_percent(pnl) == 40.0
    assert metrics.profit_factor(pnl) == 2.0
    assert metrics.average_trade(pnl) == pytest.approx(0.8)
    none = np.array([])
    assert metrics.win_rate_percent(none) is metrics.profit_factor(none) is metrics.average_trade(none) is None
    assert metrics.profit_factor(np.array([1.0])) is None


def test_return_and_exposure() -> None:
    assert metrics.return_percent(200.0, 250.0) == pytest.approx(25.0)
    assert metrics.exposure_percent(np.array([10.0, 11.0, 9.0, 9.0]), np.array([10.0, 2.0, 2.0, 9.0])) == 50.0
