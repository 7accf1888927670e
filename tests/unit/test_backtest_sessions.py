"""Coarser intervals of markets with sessions, of a range and of a stream, against pandas in local time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import pandas as pd
import pytest

from pods.engine import columns_of
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.datetimes import same_session
from tapedeck_backtest.bars.resample import StreamResampler, outside_note, resample
from tapedeck_common.market import Bar, event_time, order_key
from tapedeck_crds.session import Session

WEEK = ["Mon", "Tue", "Wed", "Thu", "Fri"]
NEW_YORK = {"timezone": "America/New_York", "open": "09:30", "close": "16:00", "days": WEEK}
MADRID = {"timezone": "Europe/Madrid", "open": "09:00", "close": "17:30", "days": WEEK}
FUTURES = {"timezone": "America/Chicago", "open": "17:00", "close": "16:00", "days": WEEK}
SYDNEY = {"timezone": "Australia/Sydney", "open": "10:00", "close": "16:00", "days": WEEK}


def _minutes(session: dict[str, Any], first: str, days: int, seed: int, missing: float) -> list[Bar]:
    """Bars of two symbols at minutes of the sessions of some days, in local time across a change of the clock."""
    rng, zone, bars = random.Random(seed), session["timezone"], list[Bar]()
    before = pd.Timedelta(days=int(session["open"] > session["close"]))
    for day in pd.date_range(first, periods=days, freq="B"):
        opens = pd.Timestamp(f"{(day - before).date()} {session['open']}", tz=zone)
        closes = pd.Timestamp(f"{day.date()} {session['close']}", tz=zone)
        for moment in pd.date_range(opens, closes, freq="min", inclusive="left"):
            for symbol in ("A", "B"):
                if rng.random() >= missing:
                    o, c, v = (rng.uniform(1, 2) for _ in range(3))
                    ts = int(moment.timestamp() * 1000)
                    bars.append(Bar("x", symbol, "1m", ts, o, max(o, c) + 0.1, min(o, c) - 0.1, c, v))
    return sorted(bars, key=order_key)


def _resampled(
    bars: Sequence[Bar], session: dict[str, Any], coarser: list[str], limits: Limits
) -> dict[str, list[tuple[float, ...]]]:
    """Event time, open, high, low, close and volume of each feed; the same for the range and for the stream."""
    symbols = sorted({bar.symbol for bar in bars})
    sessions = same_session(Session.model_validate(session), symbols)
    series = {symbol: columns_of([bar for bar in bars if bar.symbol == symbol]) for symbol in symbols}
    ranged = resample(series, "1m", coarser, sessions, limits, require_bars=False)
    found = {
        name: list(zip(*(each.tolist() for each in (c.event, c.open, c.high, c.low, c.close, c.volume)), strict=True))
        for name, c in ranged.items()
    }
    streamed: dict[str, list[tuple[float, ...]]] = {name: [] for name in ranged}
    steps = ((event, [(symbols.index(bar.symbol), bar) for bar in group]) for event, group in _by_event(bars))
    events = []
    for event, step in StreamResampler(symbols, "1m", coarser, sessions, lambda: limits).steps(steps):
        events.append(event)
        for index, bar in step:
            values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
            streamed[list(ranged)[index]].append((event, *values))
    assert events == sorted(set(events))
    assert streamed == found
    return found


def _by_event(bars: Iterable[Bar]) -> Iterable[tuple[int, Iterable[Bar]]]:
    return groupby(bars, key=event_time)


def test_bars_outside_the_sessions_are_counted() -> None:
    """Of a market that never closes, over two weeks with a change of the clock: 390 minutes of ten days are inside."""
    opens = pd.date_range("2018-03-05", "2018-03-19", freq="min", inclusive="left", tz="America/New_York")
    bars = [Bar("x", "A", "1m", int(each.timestamp() * 1000), 1.0, 1.0, 1.0, 1.0, 1.0) for each in opens]
    series = {"A": columns_of(bars)}
    note = outside_note(series, "1m", same_session(Session.model_validate(NEW_YORK), ["A"]))
    assert len(bars) == 14 * 1_440 - 60
    assert (note or "").startswith(f"data.session: {len(bars) - 3_900} of {len(bars)} bars are outside the session; ")
    assert outside_note(series, "1m", {}) is None
    inside = {"A": columns_of(_minutes(NEW_YORK, "2018-03-05", 10, 1, 0.1))}
    assert outside_note(inside, "1m", same_session(Session.model_validate(NEW_YORK), ["A"])) is None


def _by_pandas(bars: Sequence[Bar], symbol: str, interval: str, session: dict[str, Any]) -> list[tuple[float, ...]]:
    frame = pd.DataFrame([(b.ts, b.open, b.high, b.low, b.close, b.volume) for b in bars
                          if b.symbol == symbol], columns=["ts", *"ohlcv"])  # fmt: skip
    local = pd.to_datetime(frame["ts"], unit="ms", utc=True).dt.tz_convert(session["timezone"])
    opens, closes = (pd.Timedelta(f"{session[name]}:00") for name in ("open", "close"))
    overnight = opens > closes
    shifted = local.dt.tz_localize(None) + (pd.Timedelta(days=1) - opens if overnight else pd.Timedelta(0))
    frame["day"] = shifted.dt.normalize()
    ends = (frame["day"] + closes).dt.tz_localize(session["timezone"])
    if interval != "1d":
        naive = local.dt.tz_localize(None)
        cell = naive.dt.floor(interval.replace("m", "min")) + pd.Timedelta(interval.replace("m", "min"))
        ends = pd.concat([ends, cell.dt.tz_localize(session["timezone"])], axis=1).min(axis=1)
    frame["end"] = ends.map(lambda stamp: int(stamp.timestamp() * 1000))
    how = {"o": "first", "h": "max", "l": "min", "c": "last", "v": "sum"}
    grouped = frame.groupby("end").agg(how)
    return [(end, *row) for end, row in zip(grouped.index.tolist(), grouped.values.tolist(), strict=True)]


@pytest.mark.parametrize("missing", [0.0, 0.6, 0.98])
@pytest.mark.parametrize(
    ("session", "first"),
    [(NEW_YORK, "2018-03-08"), (NEW_YORK, "2018-11-01"), (MADRID, "2018-03-22"), (SYDNEY, "2018-03-29")],
)
def test_sessions_keep_their_local_hours(session: dict[str, Any], first: str, missing: float) -> None:
    bars = _minutes(session, first, 5, 1, missing)
    found = _resampled(bars, session, ["30m", "1h", "1d"], Limits())
    for symbol in ("A", "B"):
        for interval in ("30m", "1h", "1d"):
            expected = _by_pandas(bars, symbol, interval, session)
            assert [row[:5] for row in found[f"{symbol}@{interval}"]] == [row[:5] for row in expected]
            assert [row[5] for row in found[f"{symbol}@{interval}"]] == pytest.approx([row[5] for row in expected])
    assert len(found["A@1d"]) == 5, "the first and the last session are over"


def test_weeks_and_months_are_those_of_their_sessions() -> None:
    bars = _minutes(MADRID, "2018-03-01", 24, 5, 0.95)
    found = _resampled(bars, MADRID, ["1d", "1w", "1M"], Limits())
    days = pd.DataFrame(found["A@1d"], columns=["end", *"ohlcv"])
    local = pd.to_datetime(days["end"], unit="ms", utc=True).dt.tz_convert("Europe/Madrid").dt.tz_localize(None)
    how = {"end": "last", "o": "first", "h": "max", "l": "min", "c": "last"}
    weeks = days.groupby(local.dt.to_period("W")).agg(how).values.tolist()
    assert [list(row[:5]) for row in found["A@1w"]] == weeks[1:-1], "from Monday to Friday"
    months = days.groupby(local.dt.to_period("M")).agg(how).values.tolist()
    assert [list(row[:5]) for row in found["A@1M"]] == months[:1], "of April the rest lacks"


def test_a_session_over_midnight_is_one_day() -> None:
    bars = _minutes(FUTURES, "2018-03-08", 4, 2, 0.5)
    found = _resampled(bars, FUTURES, ["1d"], Limits())
    expected = _by_pandas(bars, "A", "1d", FUTURES)
    assert len(expected) == 4
    assert [row[:5] for row in found["A@1d"]] == [row[:5] for row in expected]


def _at(local: str) -> int:
    return int(pd.Timestamp(local, tz="Europe/Madrid").timestamp() * 1000)


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        (Limits(), 5),
        (Limits(_at("2018-03-22 00:00"), _at("2018-03-29 00:00")), 5),
        (Limits(_at("2018-03-22 12:00"), None), 4),  # the run begins within the first session
        (Limits(None, _at("2018-03-28 12:00")), 4),  # the run ends within the last
    ],
)
def test_a_session_is_whole_unless_the_run_begins_or_ends_in_it(limits: Limits, count: int) -> None:
    bars = [
        bar
        for bar in _minutes(MADRID, "2018-03-22", 5, 3, 0.5)
        if (limits.start is None or bar.ts >= limits.start) and (limits.end is None or event_time(bar) <= limits.end)
    ]
    assert len(_resampled(bars, MADRID, ["1d"], limits)["A@1d"]) == count


def test_bars_outside_the_session_are_in_no_coarser_bar() -> None:
    bars = _minutes({**NEW_YORK, "open": "08:00", "close": "18:00"}, "2018-03-08", 3, 4, 0.3)
    inside = [bar for bar in bars if 570 <= _minute_of_day(bar.ts) < 960]
    assert 0 < len(inside) < len(bars)
    found = _resampled(bars, NEW_YORK, ["1h", "1d"], Limits())
    for interval in ("1h", "1d"):
        expected = _by_pandas(inside, "A", interval, NEW_YORK)
        assert [row[:5] for row in found[f"A@{interval}"]] == [row[:5] for row in expected]


def _minute_of_day(ts: int) -> int:
    local = pd.Timestamp(ts, unit="ms", tz="UTC").tz_convert("America/New_York")
    return int(local.hour) * 60 + int(local.minute)


def test_a_running_session_is_not_over() -> None:
    tomorrow = int((pd.Timestamp.now(tz="UTC").normalize() + pd.Timedelta(days=1)).timestamp() * 1000)
    bar = Bar("x", "A", "1m", tomorrow, 1.0, 1.0, 1.0, 1.0, 1.0)
    sessions = same_session(Session(close="23:00"), ["A"])
    resampler = StreamResampler(["A"], "1m", ["1d"], sessions, lambda: Limits(0, tomorrow + 10**9))
    assert list(resampler.steps(iter([(event_time(bar), [(0, bar)])]))) == [(event_time(bar), [(0, bar)])]
