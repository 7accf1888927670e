"""The bars of a live market in memory: of several series by the rule of the history, and what a chart is told of."""

from __future__ import annotations

import random
from typing import Literal, cast

import pytest

from by_hand.stored_series import T0, chosen, series
from tapedeck_common.market import Bar, series_key
from tapedeck_common.wire import encode, market_headers
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.future import NO_LIMIT, FutureLimits
from tapedeck_gateway.push.bar_sources import MarketBars
from tapedeck_gateway.topics.live_bars import LiveMarket

KEY = series_key("x", "A").encode()
HOUR, MINUTE = 3_600_000, 60_000
Whole = Literal["all", "hours"]


def watched(live: LiveMarket, rows: dict[str, dict[int, Candle]], wanted: str, whole: Whole = "all") -> MarketBars:
    """A chart of these series; memory has all of them, or of the shorter ones their latest bars only."""
    layers = [
        live.watch(BAR_LENGTHS[interval], "x", "A", [bar for _, bar in sorted(rows[interval].items())])
        for interval in sorted(rows, key=lambda each: -BAR_LENGTHS[each].ms)
    ]
    limits = cast(FutureLimits, None)
    kept = layers if whole == "all" else layers[:1]
    return MarketBars(layers, ChartSymbol("x", "A"), BAR_LENGTHS[wanted], limits, NO_LIMIT, kept)


def publish(live: LiveMarket, interval: str, bar: Candle, *, closed: bool = True) -> None:
    record = Bar("x", "A", interval, bar.ts, *bar.prices, bar.volume, closed=closed)
    assert live.apply(KEY, market_headers("live"), encode(record))


def bars_at(interval: str, *ats: int) -> dict[int, Candle]:
    """Bars that open so many minutes from T0; the close is that number."""
    return {T0 + at * MINUTE: Candle(T0 + at * MINUTE, 100.0, 2_000.0, -1.0, float(at), 1.0) for at in ats}


@pytest.mark.parametrize("wanted", ["15m", "1h", "4h"])
@pytest.mark.parametrize("seed", range(6))
def test_a_snapshot_is_of_the_longest_series_and_in_its_holes_of_the_next(wanted: str, seed: int) -> None:
    rng, length = random.Random(seed), BAR_LENGTHS[wanted]
    stored = {interval: series(rng, interval, rng.choice([0.3, 0.7, 1.0])) for interval in ("1m", "15m", "1h")}
    rows = {interval: bars for interval, bars in stored.items() if BAR_LENGTHS[interval].ms <= length.ms}
    source, expected = watched(LiveMarket(), rows, wanted), [bar for _, bar in sorted(chosen(rows, length).items())]
    values = [(bar.ts, bar.prices, bar.volume) for bar in expected]
    assert [(bar.ts, bar.prices, bar.volume) for bar in source.recent(1_000)] == values
    assert [(bar.ts, bar.prices, bar.volume) for bar in source.recent(5)] == values[-5:]
    assert [bar.ts for bar in source.bars_since(None)[1]] == [expected[-1].ts]


def test_a_snapshot_begins_where_memory_has_all_of_each_series() -> None:
    rows = {"1h": bars_at("1h", 0, 60, 180), "1m": bars_at("1m", *range(130, 200))}
    assert [bar.ts for bar in watched(LiveMarket(), rows, "1h").recent(100)] == [
        T0, T0 + HOUR, T0 + 2 * HOUR, T0 + 3 * HOUR
    ]  # fmt: skip
    begun = watched(LiveMarket(), rows, "1h", "hours")  # there may be minutes before the hundred and thirtieth
    assert [bar.ts for bar in begun.recent(100)] == [T0 + 3 * HOUR]


def test_a_longer_bar_that_comes_after_its_parts_is_late() -> None:
    live = LiveMarket()
    source = watched(live, {"1h": bars_at("1h", 0), "1m": bars_at("1m", *range(60, 120))}, "1h")
    number, late = source.late_after(0)
    assert late == []
    publish(live, "1m", bars_at("1m", 120)[T0 + 2 * HOUR], closed=False)
    assert source.late_after(number) == (number, [])
    assert [(bar.ts, bar.close, bar.closed) for bar in source.bars_since(T0)[1]] == [
        (T0, 0.0, True), (T0 + HOUR, 119.0, True), (T0 + 2 * HOUR, 120.0, False)
    ]  # fmt: skip
    publish(live, "1h", bars_at("1h", 60)[T0 + HOUR])
    after, late = source.late_after(number)
    assert late == [T0 + HOUR]
    assert source.bars_since(T0 + HOUR)[1][0].close == 60.0
    publish(live, "1m", bars_at("1m", 70)[T0 + 70 * MINUTE])  # the same again: nothing is late
    assert source.late_after(after) == (after, [])
    source.close()
    assert live.watchers == 0
