"""The metrics against independent formulas in pandas."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from by_hand.curve import MINUTE, drawdowns, ms, walk
from tapedeck_backtest.report import metrics, sharpe, summary
from tapedeck_backtest.report.trading_days import DAY_MS
from tapedeck_backtest.report.undefined import reason_lines, undefined
from tapedeck_crds.session import ALWAYS_OPEN, Session


def ratios(start: float, series: pd.Series, interval: int = MINUTE, session: Session = ALWAYS_OPEN) -> metrics.Returns:
    return metrics.returns(start, ms(series), series.to_numpy(), interval, session)


def daily_returns(start: float, series: pd.Series) -> pd.Series:
    """Of days in UTC. Closed on the right: the value at midnight belongs to the day that ends there."""
    daily = series.resample("1D", closed="right", label="right").last().ffill()
    returns: pd.Series = pd.concat([pd.Series([start]), daily]).pct_change().dropna()
    return returns


@pytest.mark.parametrize("seed", range(3))
def test_risk_of_daily_returns(seed: int) -> None:
    series, start = walk(seed, spacing=10 * MINUTE)
    returns = daily_returns(start, series)
    got = ratios(start, series)
    assert len(got.each) == len(returns) > 60
    assert got.sharpe() == pytest.approx(returns.mean() / returns.std() * math.sqrt(365), rel=1e-9)
    downside = math.sqrt(sum(r * r for r in returns if r < 0) / len(returns))
    assert got.sortino() == pytest.approx(returns.mean() / downside * math.sqrt(365), rel=1e-9)
    assert got.annual_percent() == pytest.approx(100 * 365 * returns.mean(), rel=1e-9)
    assert got.volatility_percent() == pytest.approx(100 * returns.std() * math.sqrt(365), rel=1e-9)


def test_a_day_of_a_market_that_never_closes_returns_0_without_bars() -> None:
    days = pd.date_range("2018-03-01", periods=40).delete([5, 6, 20])
    series = pd.Series(np.linspace(100, 120, len(days)), index=days + pd.Timedelta("10:00:00"))
    assert sorted(ratios(100.0, series).each)[:4] == [0.0] * 4  # and the first, whose value is the start
    assert len(ratios(100.0, series).each) == 40


def test_stocks_are_annualised_by_252_days_of_their_session() -> None:
    """A futures session from 18:00 to 17:00 in New York over the change of its clock, with a holiday on 19 March."""
    days = [day for day in pd.bdate_range("2018-02-01", "2018-04-30") if day != pd.Timestamp("2018-03-19")]
    rng, stamps, closes, value = np.random.default_rng(1), [], [], 100.0
    values: list[float] = []
    for day in days:
        for hours in (-5, 3, 17):  # from the evening before to the close
            local = (day + pd.Timedelta(hours=hours)).tz_localize("America/New_York")
            stamps.append(local.tz_convert("UTC").tz_localize(None))
            value *= 1 + rng.normal(0, 0.01)
            values.append(value)
        closes.append(value)
    session = Session(
        timezone="America/New_York", open="18:00", close="17:00", days=["Mon", "Tue", "Wed", "Thu", "Fri"]
    )
    got = ratios(100.0, pd.Series(values, index=pd.DatetimeIndex(stamps)), 3_600_000, session)
    returns = pd.Series([100.0, *closes]).pct_change().dropna()
    assert got.each.tolist() == pytest.approx(returns.tolist())
    assert got.sharpe() == pytest.approx(returns.mean() / returns.std() * math.sqrt(252))


def test_longer_bars_are_annualised_by_their_number() -> None:
    week = 7 * DAY_MS
    value = np.array([101.0, 99.0, 104.0, 103.0])
    returns = pd.Series([100.0, *value]).pct_change().dropna()
    got = metrics.returns(100.0, week * np.arange(1, 5), value, week, ALWAYS_OPEN)
    assert got.sharpe() == pytest.approx(returns.mean() / returns.std() * math.sqrt(365 / 7))


def test_undefined_ratios() -> None:
    def got(*values: float) -> metrics.Returns:
        ts = DAY_MS * np.arange(1, len(values) + 1)
        return metrics.returns(1.0, ts, np.array(values), MINUTE, ALWAYS_OPEN)

    assert got().sharpe() is got().sortino() is got().annual_percent() is got().volatility_percent() is None
    assert got(2.0).sharpe() is got(2.0).sortino() is got(2.0).sharpe_error() is None
    assert got(1.0, 1.0, 1.0).sharpe() is got(1.0, 1.0, 1.0).probabilistic_sharpe() is None
    assert got(1.1, 1.2).sortino() is None  # no loss
    assert got(1.1, -0.2, 0.4).sharpe() is None  # the account fell below zero


def test_error_of_the_sharpe_ratio() -> None:
    """The moments as sums; the distribution function as an integral of the normal density."""
    series, start = walk(6, spacing=10 * MINUTE)
    returns = daily_returns(start, series).tolist()
    count = len(returns)
    mean = sum(returns) / count
    second, third, fourth = (sum((r - mean) ** k for r in returns) / count for k in (2, 3, 4))
    ratio = mean / math.sqrt(second * count / (count - 1))
    skewness, kurtosis = third / second**1.5, fourth / second**2
    error = math.sqrt((1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2) / (count - 1))
    got = ratios(start, series)
    assert got.sharpe_error() == pytest.approx(error * math.sqrt(365))
    z = np.linspace(-12, ratio / error, 200_001)
    assert got.probabilistic_sharpe() == pytest.approx(np.trapezoid(np.exp(-z * z / 2), z) / math.sqrt(2 * math.pi))


def test_published_examples_of_deflated_and_probabilistic_sharpe_ratios() -> None:
    """Bailey and López de Prado (2014), section "A numerical example": five years of daily returns, 250 a year."""
    ratio = 2.5 / math.sqrt(250)
    error = sharpe.standard_error(ratio, -3.0, 10.0, 1250)
    for trials, probability in ((100, 0.9004), (46, 0.9505)):
        benchmark = sharpe.expected_maximum(0.5 / 250, trials)
        assert sharpe.probabilistic_sharpe(ratio, error, benchmark) == pytest.approx(probability, abs=5e-5)
    assert sharpe.expected_maximum(0.5 / 250, 100) == pytest.approx(0.1132, abs=5e-5)
    # Bailey and López de Prado (2012), two years of months at 1.585 a year: certain enough if normal, not as observed.
    ratio = 1.585 / math.sqrt(12)
    for skewness, kurtosis, expected in ((0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)):
        error = sharpe.standard_error(ratio, skewness, kurtosis, 24)
        assert sharpe.probabilistic_sharpe(ratio, error) == pytest.approx(expected, abs=1e-3)


def test_deflated_sharpe_ratio_of_the_best_of_random_trials() -> None:
    """Without skill the best of many trials is no better than chance has it; alone it looks significant."""
    trials = np.random.default_rng(3).normal(0, 1, 200)
    best = float(trials.max())
    assert (sharpe.probabilistic_sharpe(best, 1.0) or 0) > 0.99
    assert (sharpe.deflated_sharpe(best, 1.0, trials.tolist()) or 0) < 0.75
    assert sharpe.deflated_sharpe(best, 1.0, [best]) is None


def test_growth() -> None:
    day = DAY_MS
    assert metrics.cagr_percent(100.0, 121.0, 2 * 365 * day) == pytest.approx(10.0)
    assert metrics.cagr_percent(100.0, 50.0, 73 * day) == pytest.approx((0.5**5 - 1) * 100)
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
    pnl = pd.Series([3.0, -1.0, 0.0, 5.0, -3.0] * 6)
    value = pd.Series([10.0, 20.0, 30.0, 100.0, 30.0] * 6)
    held = np.array([1, 2, 3, 4, 5] * 6) * metrics.HOUR_MS
    got = summary.trade_figures(summary.ClosedTrades(np.array(pnl, np.float64), np.array(value, np.float64), held))
    share = 100 * pnl / value
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    expectancy = len(wins) / 30 * wins.mean() + len(losses) / 30 * losses.mean()
    assert got == pytest.approx(
        {
            "trades": 30, "wins": 12, "draws": 6, "losses": 12, "win_rate_percent": 40.0, "profit_factor": 8 / 4,
            "average_trade": expectancy, "average_trade_percent": share.mean(),
            "expectancy_ratio": expectancy / -losses.mean(), "sqn": math.sqrt(30) * pnl.mean() / pnl.std(),
            "best_trade": 5.0, "best_trade_percent": 30.0, "worst_trade": -3.0, "worst_trade_percent": -10.0,
            "average_hold_hours": 3.0,
        }
    )  # fmt: skip
    none = summary.trade_figures(summary.ClosedTrades(np.array([]), np.array([]), np.array([], dtype=np.int64)))
    assert {name for name, figure in none.items() if figure is not None} == {"trades", "wins", "draws", "losses"}
    assert metrics.sqn(np.array(pnl[:29], np.float64)) is metrics.sqn(np.ones(30)) is None


def account_of(series: pd.Series, start: float) -> summary.AccountHistory:
    return summary.AccountHistory(start, MINUTE, ms(series), series.to_numpy(), np.zeros(len(series)))


@pytest.mark.parametrize("seed", range(3))
def test_account_figures_are_consistent(seed: int) -> None:
    series, start = walk(seed, spacing=10 * MINUTE)
    got = summary.account_figures(account_of(series, start), 3.0)
    worst = max(drawdowns(start, series))
    days = (ms(series)[-1] - ms(series)[0] + MINUTE) / 86_400_000
    assert got["max_drawdown_percent"] == pytest.approx(worst[0])
    assert got["max_drawdown_amount"] == pytest.approx(worst[1])
    assert got["max_drawdown_days"] == pytest.approx(((worst[4] or ms(series)[-1]) - worst[2]) / 86_400_000)
    assert got["daily_returns"] == len(daily_returns(start, series))
    assert got["cagr_percent"] == pytest.approx(((series.iloc[-1] / start) ** (365 / days) - 1) * 100)
    assert got["cagr_percent"] is not None
    assert got["calmar"] == pytest.approx(got["cagr_percent"] / worst[0])
    assert (got["buy_and_hold_percent"], got["exposure_percent"]) == (3.0, 100.0)
    assert undefined(got) == {}


@pytest.mark.parametrize(("minutes", "days"), [(3 * 1_440, 3), (29 * 1_440, 29), (29 * 1_440 + 1, 30)])
def test_fewer_than_30_days_have_no_annualised_figures(minutes: int, days: int) -> None:
    """Three days of minute bars once had a Sharpe ratio of -42 and an annual return of -2492 %."""
    index = pd.date_range("2018-04-04", periods=minutes + 1, freq="1min", inclusive="right")
    values = 1_000 * np.exp(np.random.default_rng(1).normal(-1e-5, 1e-3, len(index)).cumsum())
    got = summary.account_figures(account_of(pd.Series(values, index=index), 1_000.0), 3.0)
    assert got["daily_returns"] == days
    annualised = {
        "annual_return_percent", "cagr_percent", "volatility_percent", "sharpe", "sharpe_error", "probabilistic_sharpe",
        "sortino", "calmar",
    }  # fmt: skip
    assert {name for name, figure in got.items() if figure is None} == (annualised if days < 30 else set())
    reason = f"got {days} daily returns, expected at least 30"
    assert undefined(got) == (dict.fromkeys(annualised, reason) if days < 30 else {})


def test_reasons_of_undefined_figures() -> None:
    days = pd.date_range("2018-04-04", periods=40)
    ruined = pd.Series([*np.linspace(1_000, 1, 39), -5.0], index=days)
    figures = summary.account_figures(account_of(ruined, 1_000.0), None)
    reasons = undefined(figures)
    assert reasons["sharpe"] == reasons["cagr_percent"] == "the account's value fell to 0 or below"
    idle = summary.account_figures(account_of(pd.Series(1_000.0, index=days), 1_000.0), 0.0)
    none = summary.trade_figures(summary.ClosedTrades(np.array([]), np.array([]), np.array([], dtype=np.int64)))
    reasons = undefined(idle | none)
    assert reasons["sharpe"] == "all daily returns are equal"
    assert reasons["calmar"] == "the run has no drawdown"
    assert reasons["win_rate_percent"] == reasons["sqn"] == "the run has no closed trade"
    won = summary.trade_figures(summary.ClosedTrades(np.ones(5), np.ones(5), np.ones(5, dtype=np.int64)))
    reasons = undefined(won)
    assert reasons == {
        "profit_factor": "no closed trade has a loss",
        "expectancy_ratio": "no closed trade has a loss",
        "sqn": "got 5 closed trades, expected at least 30",
    }
    assert reason_lines(reasons)[0] == "profitFactor, expectancyRatio: no closed trade has a loss"


def test_reasons_of_a_sweeps_figures() -> None:
    short = {"best_sharpe": None, "best_sharpe_error": None, "deflated_sharpe": None, "trials_with_sharpe": 0.0}
    assert {*undefined(short).values()} == {"the best trial has no Sharpe ratio, which needs 30 daily returns"}
    alone = {"best_sharpe": 1.0, "best_sharpe_error": 0.5, "deflated_sharpe": None, "trials_with_sharpe": 1.0}
    assert undefined(alone) == {"deflated_sharpe": "expected two trials or more with a Sharpe ratio"}
    assert undefined(alone | {"trials_with_sharpe": 2.0})["deflated_sharpe"].startswith("all daily returns")


def test_account_without_steps() -> None:
    empty = np.array([])
    got = summary.account_figures(
        summary.AccountHistory(10.0, MINUTE, np.array([], dtype=np.int64), empty, empty), None
    )
    assert {name: figure for name, figure in got.items() if figure is not None} == {
        "final_value": 10.0, "return_percent": 0.0, "daily_returns": 0.0, "max_drawdown_percent": 0.0,
        "max_drawdown_amount": 0.0, "max_drawdown_days": 0.0, "lowest_value": 10.0,
    }  # fmt: skip
    assert set(undefined(got)) == {name for name, figure in got.items() if figure is None}
