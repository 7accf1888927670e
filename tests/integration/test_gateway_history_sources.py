"""The sources of a market's history at a given time: what it asks of the live market, and how many statements it sends.

The database is real, and so is the live market's memory; the tests say what time it is and put records into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import Response
from msgspec.structs import replace

from pods.expected_bars import T0, aggregated, assert_same_bars
from pods.gateway import MINUTE, insert_bars, walk
from tapedeck_common.market import Bar, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import PooledConnection
from tapedeck_common.wire import encode, market_headers
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbol_index import MarketSymbol
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.partial_response import PartialResponse
from tapedeck_gateway.routes.udf.series import open_series
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.live_bars import LiveMarket

HOUR, DAY = 60 * MINUTE, 1_440 * MINUTE
DAWN = T0 - T0 % DAY
Rows = list[tuple[float, ...]]


def hours_of(minutes: list[Bar]) -> list[Bar]:
    """Hours of minutes, each with a volume that tells it from the hour that the gateway makes."""
    made = aggregated(minutes, 60, 2**60)
    first = minutes[0]
    return [Bar(first.exchange, first.symbol, "1h", int(t) * 1000, o, h, lo, c, v + 1.0) for t, o, h, lo, c, v in made]


def in_rows(bars: list[Bar]) -> Rows:
    return [(bar.ts // 1000, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]


@dataclass
class Memory:
    """The live market's bars; it notes which series histories ask for."""

    live: LiveMarket = field(default_factory=LiveMarket)
    asked: list[str] = field(default_factory=list)

    def publish(self, *bars: Bar) -> None:
        for bar in bars:
            key, base = series_key(bar.exchange, bar.symbol).encode(), BAR_LENGTHS[bar.interval]
            if not self.live.of(base).watches(key):
                self.live.watch(base, bar.exchange, bar.symbol, [])
            self.live.apply(key, market_headers("live"), encode(bar))

    def live_bars(self, exchange: str, symbol: str, base: BarLength, start: int, end: int) -> list[Candle]:
        self.asked.append(base.interval)
        return self.live.of(base).base_bars(exchange, symbol, start, end)


@dataclass
class Histories:
    """The histories of coinbase:BTC/USD at the time ``now``; ``statements`` are those of the last one, with values."""

    pool: Pool
    statements: list[tuple[Any, Any]]
    memory: Memory = field(default_factory=Memory)
    now: int = 0
    intervals: tuple[str, ...] = ("1h", "1m")

    def get(self, resolution: str, end: int, *, start: int | None = None, countback: int | None = None) -> Rows:
        market = MarketSymbol("coinbase", "BTC/USD", self.intervals)
        index = SimpleNamespace(market=lambda _exchange, _symbol: market)
        context = SimpleNamespace(pool=self.pool, symbols=SimpleNamespace(index=index), reader=self.memory)
        limits = SimpleNamespace(of_market=lambda _exchange: self.now)
        symbol = ChartSymbol("coinbase", "BTC/USD")
        self.statements.clear()
        self.memory.asked.clear()
        series = open_series(
            cast(GatewayContext, context), cast(FutureLimits, limits), PartialResponse(Response()), symbol
        )
        length, history = series.history(resolution)
        found = history.last(length, end, countback) if countback else history.between(length, start or 0, end, 20_000)
        return [(bar.ts // 1000, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in found]

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The ranges of bars that were read, in order."""
        values = [each for _, each in self.statements if isinstance(each, dict) and "limit" in each]
        return sorted((each["start"], each["end"]) for each in values if "ms" not in each)


@pytest.fixture
def histories(connections: Connections, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Histories]:
    sent: list[tuple[Any, Any]] = []
    execute = PooledConnection.execute

    def noted(self: PooledConnection, query: Any, values: Any = None, **options: Any) -> Any:
        if "alembic_version" not in str(query):  # each connection of the pool checks the schema once
            sent.append((query, values))
        return execute(self, query, values, **options)

    with Pool(connections, GatewayLimits()) as pool:
        monkeypatch.setattr(PooledConnection, "execute", noted)
        yield Histories(pool, sent)


def test_a_request_for_the_past_sends_few_statements_and_asks_no_live_market(histories: Histories, store: str) -> None:
    minutes = walk(81, 40 * 60, T0)
    hours = hours_of(minutes)
    insert_bars(store, [*minutes, *hours])
    histories.now = T0 + 40 * HOUR
    expected = in_rows(hours)
    assert_same_bars(histories.get("60", T0 + 30 * HOUR, start=T0 + 10 * HOUR), expected[10:30])
    assert (len(histories.statements), histories.memory.asked) == (2, [])
    assert_same_bars(histories.get("60", T0 + 30 * HOUR, countback=7), expected[23:30])
    assert (len(histories.statements), histories.memory.asked) == (2, [])

    histories.intervals = ("1m",)
    assert_same_bars(histories.get("1", T0 + 10 * MINUTE, start=T0), in_rows(minutes[:10]))
    assert (len(histories.statements), histories.memory.asked) == (1, [])


def test_a_request_up_to_now_sends_few_statements(histories: Histories, store: str) -> None:
    minutes = walk(82, 40 * 60 + 20, T0)
    hours = hours_of(minutes)[:40]
    insert_bars(store, [*minutes[:-2], *hours])
    histories.now = T0 + 40 * HOUR + 20 * MINUTE
    histories.memory.publish(*minutes[-2:], hours[-1])
    expected = [*in_rows(hours), *aggregated(minutes, 60, 2**60)[40:]]
    assert_same_bars(histories.get("60", histories.now + 1, countback=30), expected[-30:])
    assert len(histories.statements) <= 5


def test_nights_of_a_market_with_a_session_are_no_holes(histories: Histories, store: str) -> None:
    opened = T0 - T0 % DAY + 9 * HOUR + 30 * MINUTE
    minutes = [bar for day in range(100) for bar in walk(day, 390, opened + day * DAY)]
    hours = hours_of(minutes)
    insert_bars(store, [*minutes, *hours])
    histories.now = T0 + 200 * DAY
    assert_same_bars(histories.get("60", histories.now), in_rows(hours))
    assert len(histories.statements) == 5  # of these one for the series, one for hours, three for holes: no minute


def test_a_gap_is_read_once(histories: Histories, store: str) -> None:
    minutes = [*walk(83, 120, T0), *walk(84, 120, T0 + 300 * DAY)]
    hours = hours_of(minutes)
    insert_bars(store, [*minutes, *hours])
    histories.now = T0 + 400 * DAY
    assert_same_bars(histories.get("60", histories.now, countback=3), in_rows(hours)[-3:])
    ranges = histories.ranges
    assert len(ranges) > 5
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))


def test_a_repaired_gap_at_its_old_time_hides_no_later_bar(histories: Histories, store: str) -> None:
    minutes = walk(85, 600, DAWN)  # ten hours of a day
    gap = minutes[120:180]
    insert_bars(store, [*minutes[:120], *minutes[180:-1]])
    histories.now = DAWN + 600 * MINUTE - 1
    histories.memory.publish(*minutes[-3:-1], *gap, replace(minutes[-1], closed=False))
    day = aggregated(minutes, 1_440, 2**60)
    histories.intervals = ("1m",)
    assert_same_bars(histories.get("1D", histories.now + 1), day)
    histories.intervals = ("1d", "1m")
    assert_same_bars(histories.get("1D", histories.now + 1), day)


def test_bars_after_the_newest_in_memory_are_stored_ones(histories: Histories, store: str) -> None:
    minutes = walk(86, 600, DAWN)
    insert_bars(store, minutes)
    histories.now = DAWN + 600 * MINUTE
    histories.memory.publish(minutes[300])
    histories.intervals = ("1m",)
    assert_same_bars(histories.get("1D", histories.now + 1), aggregated(minutes, 1_440, 2**60))


def test_an_hour_that_has_just_ended_is_shown_where_only_hours_are_live(histories: Histories, store: str) -> None:
    minutes = walk(87, 50 * 60, T0)
    hours = hours_of(minutes)
    insert_bars(store, [*minutes[:60], *hours[:49]])
    histories.now = T0 + 50 * HOUR + 5_000
    histories.memory.publish(*hours[48:])
    expected = in_rows(hours)
    assert_same_bars(histories.get("60", histories.now + 1, countback=5), expected[-5:])
    assert_same_bars(histories.get("60", T0 + 50 * HOUR, start=T0 + 49 * HOUR), expected[49:])
    assert_same_bars(histories.get("60", T0 + 49 * HOUR, start=T0 + 47 * HOUR), expected[47:49])


def test_an_hour_that_neither_series_stored_is_of_the_minutes_that_are_live(histories: Histories, store: str) -> None:
    minutes = walk(88, 50 * 60, T0)
    hours = hours_of(minutes)
    insert_bars(store, [*minutes[:-1], *hours[:47], hours[48]])  # an hour in the midst is missing
    histories.now = T0 + 50 * HOUR + 5_000
    histories.memory.publish(minutes[-1], hours[48])
    made = aggregated(minutes, 60, 2**60)
    expected = [*in_rows(hours[:47]), made[47], *in_rows(hours[48:49]), made[49]]
    assert_same_bars(histories.get("60", histories.now + 1, countback=9), expected[-9:])
