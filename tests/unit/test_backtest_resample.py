"""Resampled bars of a range and of a stream, against pandas."""

from __future__ import annotations

import random
from itertools import groupby

import numpy as np
import pandas as pd
import pytest

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.resample import StreamResampler, check_intervals, check_resampled, feed_names, resample
from tapedeck_backtest.engine.feeds import feed_params
from tapedeck_backtest.errors import RunFailed
from tapedeck_common.market import Bar, event_time, order_key

MINUTE = 60_000
T0 = 1_522_800_000_000 + 7 * MINUTE  # 00:07: the first interval is incomplete
SYMBOLS = ["A", "B"]


def market(seed: int, minutes: int, missing: float) -> list[Bar]:
    rng = random.Random(seed)
    bars = []
    for i in range(minutes):
        for symbol in SYMBOLS:
            if rng.random() >= missing or i in (0, minutes - 1):
                o, c, v = (rng.uniform(1, 2) for _ in range(3))
                bars.append(Bar("x", symbol, "1m", T0 + i * MINUTE, o, max(o, c) + 0.1, min(o, c) - 0.1, c, v))
    return sorted(bars, key=order_key)


def columns(bars: list[Bar]) -> BarArrays:
    fields = {n: np.array([getattr(b, n) for b in bars]) for n in ("open", "high", "low", "close", "volume")}
    return BarArrays(event=np.array([event_time(b) for b in bars]), **fields)


def by_pandas(bars: list[Bar], symbol: str, minutes: int, last: int) -> list[tuple[float, ...]]:
    mine = [b for b in bars if b.symbol == symbol]
    frame = pd.DataFrame([(b.open, b.high, b.low, b.close, b.volume) for b in mine], columns=list("ohlcv"))
    frame.index = pd.to_datetime([b.ts for b in mine], unit="ms")
    how = {"o": "first", "h": "max", "l": "min", "c": "last", "v": "sum"}
    resampled = frame.resample(f"{minutes}min").agg(how).dropna()
    ends = [int(t.value // 1_000_000) + minutes * MINUTE for t in resampled.index]
    rows = [(end, *row) for end, row in zip(ends, resampled.values.tolist(), strict=True)]
    return [row for row in rows if row[0] - minutes * MINUTE >= T0 and row[0] <= last]


@pytest.mark.parametrize(("seed", "missing"), [(1, 0.0), (2, 0.3), (3, 0.9)])
def test_range_and_stream_equal_pandas(seed: int, missing: float) -> None:
    bars, coarser = market(seed, 311, missing), ["5m", "1h"]
    last = event_time(bars[-1])
    feeds = resample({s: columns([b for b in bars if b.symbol == s]) for s in SYMBOLS}, "1m", coarser)
    assert list(feeds) == feed_names(SYMBOLS, coarser) == ["A", "B", "A@5m", "B@5m", "A@1h", "B@1h"]
    fine = ((t, [(SYMBOLS.index(b.symbol), b) for b in group]) for t, group in groupby(bars, key=event_time))
    streamed: dict[str, list[tuple[float, ...]]] = {name: [] for name in feeds}
    times = []
    for time, step in StreamResampler(SYMBOLS, "1m", coarser).steps(fine):
        times.append(time)
        for index, b in step:
            assert event_time(b) == time
            streamed[list(feeds)[index]].append((time, b.open, b.high, b.low, b.close, b.volume))
    assert times == sorted(set(times))
    for name, given in feeds.items():
        lines = (given.event, given.open, given.high, given.low, given.close, given.volume)
        rows = list(zip(*(line.tolist() for line in lines), strict=True))
        assert rows == streamed[name]
        symbol, _, interval = name.partition("@")
        if interval:
            expected = by_pandas(bars, symbol, {"5m": 5, "1h": 60}[interval], last)
            assert [row[:5] for row in rows] == [row[:5] for row in expected]
            assert [row[5] for row in rows] == pytest.approx([row[5] for row in expected])
            assert rows


def test_feed_params_of_a_resampled_feed() -> None:
    assert feed_params("A/B@1h", "1m")["compression"] == 60
    assert feed_params("A/B@1h", "1m")["name"] == "A/B@1h"


@pytest.mark.parametrize(("interval", "coarser"), [("5m", ["1m"]), ("5m", ["5m"]), ("2h", ["1d", "3m"])])
def test_intervals_that_are_no_multiples_are_rejected(interval: str, coarser: list[str]) -> None:
    with pytest.raises(RunFailed, match="expected a multiple of the bars'"):
        check_intervals(interval, coarser)


def test_too_few_bars_for_a_complete_one() -> None:
    series = {"A": columns([b for b in market(1, 50, 0.0) if b.symbol == "A"])}
    check_resampled(series, "1m", ["5m"])
    for checked in (check_resampled, resample):
        with pytest.raises(RunFailed, match="the bars of A make no complete bar of 1h"):
            checked(series, "1m", ["5m", "1h"])
