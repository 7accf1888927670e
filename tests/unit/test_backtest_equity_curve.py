"""The recorded equity curve, months and years, against pandas and step-by-step sums."""

from __future__ import annotations

import math
import random

import numpy as np
import pandas as pd
import pytest

from by_hand.curve import MINUTE, drawdowns, ms, walk
from tapedeck_backtest.report.equity_curve import KEPT, POINTS_MAX, ROLLING, EquityCurve, stride
from tapedeck_backtest.report.metrics import RETURNS_MIN
from tapedeck_backtest.report.periods import periods
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.report.summary import AccountHistory
from tapedeck_common.records import ResultRecord, RunEquity
from tapedeck_crds.session import Session

START = 1_000.0


Row = tuple[int, int, float, float, float, float | None]
"""Seq, ts, value, change, drawdown, Sharpe."""


def recorded_points(series: pd.Series, seed: int, every: int = 1) -> list[Row]:
    """The points of a run that emits chunks at random moments."""
    rng = random.Random(seed)
    records: list[ResultRecord] = []
    results = Results("r", START, MINUTE, records.append, every=every)
    for ts, value in zip(ms(series).tolist(), series.tolist(), strict=True):
        results._flush_at = math.inf if rng.random() < 0.99 else 0.0
        results.point(ts, value, value / 2)
    results.flush()
    points: list[Row] = []
    for record in records:
        assert isinstance(record, RunEquity)
        assert record.cash == [value / 2 for value in record.value]
        at = record.at or range(len(record.ts))
        rows = zip(
            at, record.ts, record.value, record.change_percent, record.drawdown_percent, record.sharpe, strict=True
        )
        points += [(record.seq + row[0], *row[1:]) for row in rows]
    return points


@pytest.mark.parametrize("seed", range(2))
def test_figures_do_not_depend_on_the_chunks(seed: int) -> None:
    series, _ = walk(seed)
    points = recorded_points(series, seed)
    assert points == recorded_points(series, seed + 99)
    assert [(p[0], p[1], p[2]) for p in points] == list(zip(range(len(series)), ms(series), series, strict=True))
    whole = pd.concat([pd.Series([START]), series])
    assert [p[3] for p in points] == pytest.approx((100 * whole.pct_change()).iloc[1:].tolist(), abs=1e-9)
    assert [p[4] for p in points] == pytest.approx((100 * (1 - whole / whole.cummax())).iloc[1:].tolist(), abs=1e-9)


def test_rolling_sharpe_covers_the_complete_days_before() -> None:
    series, _ = walk(3, spacing=10 * MINUTE)
    daily = series.resample("1D", closed="right", label="right").last().ffill()
    returns = pd.concat([pd.Series([START], index=[daily.index[0] - pd.Timedelta("1D")]), daily]).pct_change()
    checked = 0
    for _, ts, _, _, _, sharpe in recorded_points(series, 3)[::37]:
        over = returns[returns.index < pd.Timestamp(ts, unit="ms")].dropna()
        if len(over) < RETURNS_MIN:
            assert sharpe is None
            continue
        assert sharpe == pytest.approx(over.mean() / over.std() * math.sqrt(365), rel=1e-9)
        checked += 1
    assert checked > 50


def test_rolling_sharpe_covers_a_limited_number_of_days_of_trading() -> None:
    """Of a market that rests: on Mondays the return is that since Friday, and holidays have none."""
    days = pd.bdate_range("2018-01-02", periods=ROLLING + 50).delete(40)
    closes = ms(pd.Series(0, index=days + pd.Timedelta("17:30:00")))
    value = START * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, len(days))))
    session = Session(open="09:00", close="17:30", days=["Mon", "Tue", "Wed", "Thu", "Fri"])
    record = EquityCurve("r", START, MINUTE, session=session).extend(0, closes, value, value)
    last = pd.Series(value).pct_change().iloc[-ROLLING - 1 : -1]
    assert record.sharpe[-1] == pytest.approx(last.mean() / last.std() * math.sqrt(252), rel=1e-9)


@pytest.mark.parametrize("every", [7, 640])
def test_thinned_curve_keeps_the_least_and_greatest_of_each_figure(every: int) -> None:
    series, _ = walk(4, spacing=10 * MINUTE)
    whole, points = recorded_points(series, 1), recorded_points(series, 2, every)
    assert points == recorded_points(series, 5, every), "the kept points depend on the chunks"
    assert points == [whole[seq] for seq in sorted({point[0] for point in points})]
    assert (points[0], points[-1]) == (whole[0], whole[-1])
    for first in range(0, len(whole), every):
        stretch = whole[first : first + every]
        kept = [point for point in points if first <= point[0] < first + every]
        assert kept[-1] == stretch[-1]
        for figure in (2, 4, 5):  # value and cash, drawdown, Sharpe
            of_all, of_kept = (np.array([p[figure] for p in rows], dtype=float) for rows in (stretch, kept))
            for extreme in (np.fmin, np.fmax):  # of numbers, without those that are undefined
                assert extreme.reduce(of_kept) == extreme.reduce(of_all) or np.isnan(of_all).all()
    assert len(points) <= KEPT * (len(series) // every + 1) + 1


def test_thinned_curve_keeps_a_drawdown_between_two_higher_peaks() -> None:
    """The deepest drawdown of a stretch need not end at its lowest value."""
    value = np.array([100.0, 90, 200, 150, 210])
    record = EquityCurve("r", 100.0, MINUTE, every=5).extend(0, MINUTE * np.arange(1, 6), value, value)
    assert max(each for each in record.drawdown_percent if each is not None) == 25.0


def test_short_runs_keep_all_points_and_long_runs_a_bounded_number() -> None:
    assert stride(0) == stride(POINTS_MAX) == 1
    for steps in (POINTS_MAX + 1, 500_000, 50_000_000):
        assert KEPT * math.ceil(steps / stride(steps)) <= POINTS_MAX + KEPT


def test_account_below_zero() -> None:
    record = EquityCurve("r", 10.0, MINUTE).extend(
        0, MINUTE * np.arange(1, 5), np.array([5.0, 0.0, -5.0, 20.0]), np.ones(4)
    )
    assert record.change_percent == [-50.0, -100.0, None, None]
    assert record.drawdown_percent == [50.0, 100.0, 150.0, 0.0]


def test_months_and_years() -> None:
    hours = pd.date_range("2018-11-29T01:00", "2019-02-02T00:00", freq="1h").delete(range(800, 830))
    value = START * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, len(hours))))
    series = pd.Series(value, index=hours)
    exits, profits = hours[5::50], np.random.default_rng(3).normal(0, 1, len(hours[5::50]))
    account = AccountHistory(START, 60 * MINUTE, ms(series), value, value)
    got = periods(account, np.array([round(t.timestamp() * 1000) for t in exits]), profits)
    assert [p.period for p in got] == ["2018-11", "2018-12", "2019-01", "2019-02", "2018", "2019"]
    for period in got:
        inside = [stamp.strftime("%Y-%m").startswith(period.period) for stamp in hours - pd.Timedelta("1ms")]
        before = series[: series[inside].index[0]].iloc[:-1]
        start = before.iloc[-1] if len(before) else START
        assert (period.start_value, period.end_value) == (start, series[inside].iloc[-1])
        assert period.return_percent == pytest.approx(100 * (series[inside].iloc[-1] / start - 1))
        assert period.max_drawdown_percent == pytest.approx(max(fall[0] for fall in drawdowns(start, series[inside])))
        its = [
            p
            for t, p in zip(exits, profits, strict=True)
            if (t - pd.Timedelta("1ms")).strftime("%Y-%m").startswith(period.period)
        ]
        assert (period.trades, period.wins) == (len(its), sum(p > 0 for p in its))
        assert period.profit == pytest.approx(sum(its))


def test_no_periods_without_steps() -> None:
    none = np.array([], dtype=np.int64)
    assert periods(AccountHistory(1.0, MINUTE, none, np.array([]), np.array([])), none, np.array([])) == []


def test_months_are_those_of_the_markets_trading_days() -> None:
    """A session of Tokyo, whose 1 February begins on 31 January UTC; and a future's, which closes a day later."""
    tokyo = Session(timezone="Asia/Tokyo", open="09:00", close="15:00")
    globex = Session(timezone="America/New_York", open="18:00", close="17:00")
    cases = [
        (tokyo, ["2023-01-31T06:00", "2023-01-31T23:59", "2023-02-01T00:01"], ["2023-01", "2023-02"]),
        (globex, ["2023-01-31T21:00", "2023-01-31T23:01"], ["2023-01", "2023-02"]),  # 16:00 and 18:01
    ]
    for session, times, months in cases:
        ts = np.array(times, dtype="datetime64[ms]").astype(np.int64)
        values = np.arange(1, len(ts) + 1, dtype=np.float64)
        account = AccountHistory(1.0, MINUTE, ts, values, values, session)
        found = periods(account, ts[-1:], np.array([5.0]))
        assert [(each.period, each.trades) for each in found] == [(months[0], 0), (months[1], 1), ("2023", 1)]
    daily = np.array(["2023-02-01", "2023-02-02"], dtype="datetime64[ms]").astype(np.int64)
    account = AccountHistory(1.0, 86_400_000, daily, np.ones(2), np.ones(2), tokyo)
    assert [each.period for each in periods(account, daily[:0], np.array([]))] == ["2023-01", "2023-02", "2023"]
