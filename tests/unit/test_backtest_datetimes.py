"""What a strategy reads as the datetime of a bar, against stock Backtrader over CSV files that it reads itself."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from by_hand.csv_feeds import CsvMarket, daily, intraday
from pods.engine import columns_of
from tapedeck_backtest.bars.datetimes import BarDatetimes, same_session
from tapedeck_backtest.bars.resample import StreamResampler, resample
from tapedeck_backtest.engine import cerebro
from tapedeck_backtest.engine.analyzers import ResultsAnalyzer
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.vector.run import run_vectorised, vector_series
from tapedeck_common.market import event_time
from tapedeck_common.records import ResultRecord, RunFill
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.session import Session

CASH = 10_000.0
NEW_YORK = "America/New_York"
STOCKS = {"timezone": NEW_YORK, "open": "09:30", "close": "16:00", "days": ["Mon", "Tue", "Wed", "Thu", "Fri"]}


class Diary(bt.Strategy):  # type: ignore[misc]
    """Buys on Fridays and sells on Mondays, on Wednesdays with an order for the day; writes down every time it sees."""

    def __init__(self) -> None:
        self.diary: list[tuple[Any, ...]] = []
        self.fills: list[tuple[Any, ...]] = []
        self.add_timer(when=bt.Timer.SESSION_START, monthdays=[1], monthcarry=True)

    def notify_timer(self, timer: Any, when: datetime.datetime, *args: Any, **kwargs: Any) -> None:
        self.diary.append(("timer", when))

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            day = bt.num2date(order.executed.dt, tz=self.data._tz).date()
            self.fills.append((day, order.executed.size, order.executed.price))
        elif order.status == order.Expired:
            self.diary.append(("expired", self.data.datetime.datetime(0)))

    def next(self) -> None:
        day = self.data.datetime.date(0)
        self.diary.append((self.data.datetime[0], self.data.datetime.datetime(0), self.datetime.datetime(0), day))
        if day.weekday() == 4 and not self.position:
            self.buy(size=1)
        elif day.weekday() == 0 and self.position:
            self.close()
        elif day.weekday() == 2 and day.day % 2:
            self.buy(exectype=bt.Order.Limit, price=self.data.close[0] - 3, valid=bt.Order.DAY)


HOURS = (datetime.time(9, 30), datetime.time(16))
CLOSES = pd.date_range("2018-03-05", "2018-03-20", freq="B")
UTC_HOURS = pd.date_range("2018-11-01 04:00", periods=24 * 8, freq="h", tz="UTC")
ONCE = UTC_HOURS[pd.Timestamp("2018-11-04 06:00", tz="UTC") != UTC_HOURS]  # a file has 01:00 of New York's twice
MARKETS: dict[str, tuple[CsvMarket, dict[str, Any] | None]] = {
    "days in UTC": (daily("2017-01-02", 520, "00:00", days="D"), None),
    "business days in UTC": (daily("2017-01-02", 900, "00:00"), None),
    "days that open at noon": (daily("2018-01-01", 90, "13:30"), None),
    "stocks from New York's midnight": (daily("2018-01-02", 260, "00:00", NEW_YORK, HOURS), STOCKS),
    "stocks from their open": (daily("2018-01-02", 260, "09:30", NEW_YORK, HOURS), STOCKS),
    "every day of New York": (daily("2018-01-02", 400, "00:00", NEW_YORK, days="D"), {"timezone": NEW_YORK}),
    "hours": (intraday("1h", pd.date_range("2018-04-01 01:00", periods=24 * 40, freq="h")), None),
    "minutes": (intraday("1m", pd.date_range("2018-03-30 20:00", periods=5_000, freq="min")), None),
    "minutes of New York's sessions": (
        intraday(
            "1m",
            pd.DatetimeIndex([day + pd.Timedelta(minutes=571 + i) for day in CLOSES for i in range(0, 390, 13)]),
            NEW_YORK,
            HOURS,
        ),
        STOCKS,
    ),
    "hours of New York": (
        intraday("1h", ONCE, NEW_YORK),
        {"timezone": NEW_YORK},
    ),
}


def _spec(session: dict[str, Any] | None, strategy: str = "buy-and-hold") -> BacktestSpec:
    data = {"replay": {"name": "r"}, **({"session": session} if session else {})}
    return BacktestSpec.model_validate({"strategy": {"builtin": strategy}, "data": data})


def _run(mode: str, market: CsvMarket, session: dict[str, Any] | None) -> tuple[Any, list[ResultRecord], Results]:
    spec, bars, records = _spec(session), market.bars(), list[ResultRecord]()
    sessions = same_session(spec.data.session, ["A"])
    if mode == "batch":
        series = {"A": columns_of(bars)}
        engine = cerebro.batch_engine(spec, Diary, {}, series, market.interval, sessions)
    else:
        steps = ((event_time(bar), [(0, bar)]) for bar in bars)
        engine = cerebro.stream_engine(spec, Diary, {}, ["A"], market.interval, steps, sessions)
    results = Results("run", CASH, event_time(bars[0]) - bars[0].ts, records.append)
    engine.addanalyzer(ResultsAnalyzer, results=results)
    strategy = engine.run()[0]
    results.flush()
    return strategy, records, results


@pytest.mark.parametrize("name", MARKETS)
def test_a_strategy_reads_the_times_of_a_csv_file(name: str, tmp_path: Path) -> None:
    market, session = MARKETS[name]
    stock = market.run_stock(Diary, tmp_path)
    assert {day.weekday() for day, size, _ in stock.fills if size}, "nothing was traded"
    events = [event_time(bar) for bar in market.bars()]
    for mode in ("batch", "stream"):
        strategy, records, results = _run(mode, market, session)
        assert strategy.diary == stock.diary
        assert strategy.fills == stock.fills
        assert list(results.ts) == events, "event times stay those of the bars"
        assert {record.ts for record in records if isinstance(record, RunFill)} <= set(events)


class Weeks(bt.Strategy):  # type: ignore[misc]
    """Writes down each resampled bar: its datetime as a number and in local time, its open and close."""

    def __init__(self) -> None:
        self.bars: dict[tuple[int, datetime.datetime], tuple[float, ...]] = {}

    def next(self) -> None:
        for number, data in enumerate(self.datas[1:]):
            if len(data):
                seen = (data.datetime[0], data.open[0], data.high[0], data.low[0], data.close[0])
                self.bars[number, data.datetime.datetime(0)] = seen


HALF_HOURS = [
    day + pd.Timedelta(minutes=600 + i)
    for day in pd.date_range("2018-01-01", "2018-04-20", freq="B").drop("2018-03-30")
    for i in range(0, 390, 30)
]
SOURCES = {name: MARKETS[name] for name in ("business days in UTC", "days in UTC", "stocks from their open")}
SOURCES["half hours without Good Friday"] = (
    intraday("1m", pd.DatetimeIndex(HALF_HOURS), NEW_YORK, HOURS),
    STOCKS,
)


@pytest.mark.parametrize("name", SOURCES)
def test_weeks_and_months_are_dated_as_stock_resamples_them(name: str, tmp_path: Path) -> None:
    market, session = SOURCES[name]
    stock = market.run_stock(Weeks, tmp_path, [bt.TimeFrame.Weeks, bt.TimeFrame.Months]).bars
    spec, bars, coarser = _spec(session), market.bars(), ["1w", "1M"]
    sessions = same_session(spec.data.session, ["A"])
    series = resample({"A": columns_of(bars)}, market.interval, coarser, sessions, require_bars=False)
    batch = cerebro.batch_engine(spec, Weeks, {}, series, market.interval, sessions).run()[0].bars
    fine = ((event_time(bar), [(0, bar)]) for bar in bars)
    steps = StreamResampler(["A"], market.interval, coarser, sessions).steps(fine)
    stream = cerebro.stream_engine(spec, Weeks, {}, list(series), market.interval, steps, sessions).run()[0].bars
    assert batch == stream
    weeks = [day for number, day in batch if number == 0]
    assert len(weeks) > 1
    assert {day.weekday() for day in weeks} == ({6} if name == "days in UTC" else {4, 3} if "Good" in name else {4})
    assert batch == {when: stock[when] for when in batch}  # stock has the incomplete first and last ones too


def test_buying_on_fridays_trades_every_week(tmp_path: Path) -> None:
    market = daily("2014-01-06", 5 * 179, "00:00")
    stock = market.run_stock(Diary, tmp_path)
    fridays = [fill for fill in stock.fills if fill[1] == 1]
    assert len(fridays) > 170
    assert _run("batch", market, None)[0].fills == stock.fills


@pytest.mark.parametrize("fill", ["nextOpen", "close"])
def test_fills_have_event_times_in_sessions_too(fill: str) -> None:
    market = daily("2018-01-02", 30, "09:30", NEW_YORK, HOURS)
    spec = _spec(STOCKS).model_copy(update={"broker": _spec(None).broker.model_copy(update={"fill": fill})})
    engine = cerebro.batch_engine(
        spec, Diary, {}, {"A": columns_of(market.bars())}, "1d", same_session(spec.data.session, ["A"])
    )
    records: list[ResultRecord] = []
    results = Results("run", CASH, 86_400_000, records.append)
    engine.addanalyzer(ResultsAnalyzer, results=results)
    engine.run()
    at = {bar.open if fill == "nextOpen" else bar.close: event_time(bar) for bar in market.bars()}
    fills = [each for each in records if isinstance(each, RunFill)]
    assert fills
    assert [each.ts for each in fills] == [at[each.price] for each in fills]


def test_the_vectorised_path_has_the_same_events_and_trades() -> None:
    market = daily("2018-01-02", 260, "09:30", NEW_YORK, HOURS)
    spec, strategy, series = _spec(STOCKS, "donchian"), BUILTINS["donchian"], {"A": columns_of(market.bars())}
    params = {"entry": 3, "exit": 2}
    engine = cerebro.batch_engine(spec, strategy, params, series, "1d", same_session(spec.data.session, ["A"]))
    by_engine, vectorised = (Results("run", CASH, 86_400_000, None) for _ in range(2))
    engine.addanalyzer(ResultsAnalyzer, results=by_engine)
    engine.run()
    prepared = vector_series(spec, strategy, series)
    assert prepared is not None
    assert run_vectorised(spec, strategy, params, "A", prepared, vectorised)
    assert vectorised.fills
    assert (vectorised.trades_hash, list(vectorised.ts)) == (by_engine.trades_hash, list(by_engine.ts))


@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, "Australia/Sydney", "Asia/Kathmandu", "Pacific/Honolulu"])
def test_datetimes_of_a_range_are_those_of_each_bar(zone: str) -> None:
    events = np.arange(1_541_203_200_000, 1_541_203_200_000 + 4 * 86_400_000, 300_000)
    for interval in ("5m", "1d"):
        datetimes = BarDatetimes(Session(timezone=zone), interval)
        assert datetimes.at_all(events).tolist() == [datetimes.at(event) for event in events.tolist()]
        assert datetimes.at_all(events[:0]).tolist() == []


@pytest.mark.parametrize(
    ("opens", "session", "day"),
    [
        ("2018-04-08T22:00:00Z", {}, "2018-04-09"),  # currencies open on Sunday at 17:00 in New York
        ("2018-04-08T22:00:00Z", {"timezone": NEW_YORK, "open": "18:00", "close": "17:00"}, "2018-04-09"),
        ("2018-04-06T00:00:00Z", {"timezone": NEW_YORK}, "2018-04-06"),  # a day in UTC, seen from the west
        ("2018-04-06T00:00:00Z", {"timezone": "America/Los_Angeles"}, "2018-04-06"),
        ("2018-04-06T00:00:00Z", {"timezone": "Asia/Tokyo", "open": "09:00", "close": "15:00"}, "2018-04-06"),
        ("2018-04-05T15:00:00Z", {"timezone": "Asia/Tokyo", "open": "09:00", "close": "15:00"}, "2018-04-06"),
    ],
)
def test_the_day_that_a_daily_bar_is_of(opens: str, session: dict[str, Any], day: str) -> None:
    event = int(pd.Timestamp(opens).timestamp() * 1000) + 86_400_000
    spec = Session.model_validate(session)
    datetimes = BarDatetimes(spec, "1d")
    assert str(datetimes.day(event)) == day
    assert str(bt.num2date(datetimes.at(event), tz=spec.zone).date()) == day
