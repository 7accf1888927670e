"""The metrics against independent formulas in pandas."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from by_hand.curve import MINUTE, drawdowns, ms, walk
from tapedeck_backtest.report import metrics, summary


def ratios(start: float, series: pd.Series, interval: int = MINUTE) -> metrics.Returns:
    return metrics.returns(start, ms(series), series.to_numpy(), interval)


@pytest.mark.parametrize("seed", range(5))
def test_risk_of_hourly_returns(seed: int) -> None:
    series, start = walk(seed)
    # closed on the right: the value at 10:00 belongs to the hour from 9 to 10
    hourly = series.resample("1h", closed="right", label="right").last().ffill()
    returns = pd.concat([pd.Series([start]), hourly]).pct_change().dropna()
    year = 24 * 365
    got = ratios(start, series)
    assert got.sharpe() == pytest.approx(returns.mean() / returns.std() * math.sqrt(year), rel=1e-9)
    downside = math.sqrt(sum(r * r for r in returns if r < 0) / len(returns))
    assert got.sortino() == pytest.approx(returns.mean() / downside * math.sqrt(year), rel=1e-9)
    assert got.annual_percent() == pytest.approx(100 * year * returns.mean(), rel=1e-9)
    assert got.volatility_percent() == pytest.approx(100 * returns.std() * math.sqrt(year), rel=1e-9)


def test_daily_bars_are_annualised_by_days() -> None:
    day = 86_400_000
    value = np.array([101.0, 99.0, 104.0, 103.0])
    returns = pd.Series([100.0, *value]).pct_change().dropna()
    got = metrics.returns(100.0, day * np.arange(1, 5), value, day)
    assert got.sharpe() == pytest.approx(returns.mean() / returns.std() * math.sqrt(365))
    assert got.annual_percent() == pytest.approx(returns.mean() * 36_500)


def test_undefined_ratios() -> None:
    hour = metrics.HOUR_MS

    def got(*values: float) -> metrics.Returns:
        return metrics.returns(1.0, hour * np.arange(1, len(values) + 1), np.array(values), MINUTE)

    assert got().sharpe() is got().sortino() is got().annual_percent() is got().volatility_percent() is None
    assert got(2.0).sharpe() is got(2.0).sortino() is None
    assert got(1.0, 1.0, 1.0).sharpe() is None
    assert got(1.1, 1.2).sortino() is None  # no loss
    assert got(1.1, -0.2, 0.4).sharpe() is None  # the account fell below zero


def test_growth() -> None:
    day = metrics.DAY_MS
    assert metrics.cagr_percent(100.0, 121.0, 2 * 365 * day) == pytest.approx(10.0)
    assert metrics.cagr_percent(100.0, 50.0, 73 * day) == pytest.approx((0.5**5 - 1) * 100)
    assert metrics.cagr_percent(100.0, 101.0, day - 1) is None
    assert metrics.cagr_percent(100.0, 200.0, day) is None  # 2 ^ 365 is meaningless
    assert metrics.cagr_percent(100.0, -1.0, day) == -100.0
    assert metrics.calmar(30.0, 20.0) == 1.5
    assert metrics.calmar(None, 20.0) is metrics.calmar(30.0, 0.0) is None
    assert metrics.return_percent(200.0, 250.0) == pytest.approx(25.0)
    assert metrics.hold_percent([(100.0, 150.0), (10.0, 9.0)]) == pytest.approx(20.0)
    assert metrics.hold_percent([]) is None


@pytest.mark.parametrize("seed", range(5))
def test_drawdowns(seed: int) -> None:
    series, start = walk(seed)
    ts = ms(series)
    expected = sorted(drawdowns(start, series), key=lambda fall: -fall[0])
    got = metrics.drawdowns(start, ts, series.to_numpy(), MINUTE, 5)
    assert [(d.peak, d.trough, d.end) for d in got] == [fall[2:] for fall in expected[:5]]
    assert [(d.percent, d.amount) for d in got] == [pytest.approx(fall[:2]) for fall in expected[:5]]
    assert [d.length_ms for d in got] == [(fall[4] or ts[-1]) - fall[2] for fall in expected[:5]]
    assert len(metrics.drawdowns(start, ts, series.to_numpy(), MINUTE, 10**6)) == len(expected)


def test_drawdowns_at_the_edges() -> None:
    def got(*values: float) -> list[tuple[float, int, int, int | None]]:
        ts = MINUTE * np.arange(1, len(values) + 1)
        return [(d.percent, d.peak // MINUTE, d.trough // MINUTE, d.end and d.end // MINUTE)
                for d in metrics.drawdowns(100.0, ts, np.array(values), MINUTE, 9)]  # fmt: skip

    assert got() == got(101.0) == got(100.0, 100.0, 102.0) == []
    assert got(50.0) == [(50.0, 0, 1, None)]
    assert got(50.0, 100.0) == [(50.0, 0, 1, 2)]
    assert got(100.0, 200.0, 100.0, 50.0, 200.0, 150.0) == [(75.0, 2, 4, 5), (25.0, 5, 6, None)]


def test_trades() -> None:
    pnl = np.array([3.0, -1.0, 0.0, 5.0, -3.0])
    assert metrics.win_rate_percent(pnl) == 40.0
    assert metrics.profit_factor(pnl) == 2.0
    assert metrics.average_trade(pnl) == pytest.approx(0.8)
    none = np.array([])
    assert metrics.win_rate_percent(none) is metrics.profit_factor(none) is metrics.average_trade(none) is None
    assert metrics.profit_factor(np.array([1.0])) is None


def test_exposure() -> None:
    assert metrics.exposure_percent(np.array([10.0, 11.0, 9.0, 9.0]), np.array([10.0, 2.0, 2.0, 9.0])) == 50.0
    assert metrics.exposure_percent(np.array([]), np.array([])) is None


def test_all_trade_figures() -> None:
    pnl = pd.Series([3.0, -1.0, 0.0, 5.0, -3.0])
    value = pd.Series([10.0, 20.0, 30.0, 100.0, 30.0])
    held = np.array([1, 2, 3, 4, 5]) * metrics.HOUR_MS
    got = summary.trade_figures(summary.ClosedTrades(np.array(pnl, np.float64), np.array(value, np.float64), held))
    share = 100 * pnl / value
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    expectancy = len(wins) / 5 * wins.mean() + len(losses) / 5 * losses.mean()
    assert got == pytest.approx(
        {
            "trades": 5, "wins": 2, "draws": 1, "losses": 2, "win_rate_percent": 40.0, "profit_factor": 8 / 4,
            "average_trade": expectancy, "average_trade_percent": share.mean(),
            "expectancy_ratio": expectancy / -losses.mean(), "sqn": math.sqrt(5) * pnl.mean() / pnl.std(),
            "best_trade": 5.0, "best_trade_percent": 30.0, "worst_trade": -3.0, "worst_trade_percent": -10.0,
            "average_hold_hours": 3.0,
        }
    )  # fmt: skip
    none = summary.trade_figures(summary.ClosedTrades(np.array([]), np.array([]), np.array([], dtype=np.int64)))
    assert {name for name, figure in none.items() if figure is not None} == {"trades", "wins", "draws", "losses"}
    assert metrics.sqn(np.array([1.0])) is metrics.sqn(np.array([1.0, 1.0])) is None


@pytest.mark.parametrize("seed", range(3))
def test_account_figures_are_consistent(seed: int) -> None:
    series, start = walk(seed)
    account = summary.AccountHistory(start, MINUTE, ms(series), series.to_numpy(), np.zeros(len(series)))
    got = summary.account_figures(account, 3.0)
    worst = max(drawdowns(start, series))
    days = (ms(series)[-1] - ms(series)[0] + MINUTE) / 86_400_000
    assert got["max_drawdown_percent"] == pytest.approx(worst[0])
    assert got["max_drawdown_amount"] == pytest.approx(worst[1])
    assert got["max_drawdown_days"] == pytest.approx(((worst[4] or ms(series)[-1]) - worst[2]) / 86_400_000)
    assert got["cagr_percent"] == pytest.approx(((series.iloc[-1] / start) ** (365 / days) - 1) * 100)
    assert got["cagr_percent"] is not None
    assert got["calmar"] == pytest.approx(got["cagr_percent"] / worst[0])
    assert (got["buy_and_hold_percent"], got["exposure_percent"]) == (3.0, 100.0)


def test_account_without_steps() -> None:
    empty = np.array([])
    got = summary.account_figures(
        summary.AccountHistory(10.0, MINUTE, np.array([], dtype=np.int64), empty, empty), None
    )
    assert {name: figure for name, figure in got.items() if figure is not None} == {
        "final_value": 10.0, "return_percent": 0.0, "max_drawdown_percent": 0.0, "max_drawdown_amount": 0.0,
        "max_drawdown_days": 0.0,
    }  # fmt: skip
