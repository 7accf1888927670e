"""Which of several stored series bars are made of, against a dictionary, with holes at random."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import pytest

from by_hand.stored_series import SPAN, T0, chosen, series
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.bar_columns import Candle, aggregate
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.history import StoredBarHistory
from tapedeck_gateway.market_history import FilledBarHistory
from tapedeck_gateway.store.pool import Pool

MINUTE, HOUR = 60_000, 3_600_000
NO_POOL = cast(Pool, None)


@dataclass(frozen=True)
class SeriesInMemory(StoredBarHistory):
    """A stored series whose bars are here in place of the database."""

    rows: dict[int, Candle] = field(default_factory=dict)

    def closed(self, length: BarLength, start: int, end: int) -> list[Candle]:
        first, stop = length.first_open(start), length.first_open(end)
        return aggregate([self.rows[ts] for ts in sorted(self.rows) if first <= ts < stop], length, 2**60)

    def holes(self, start: int, end: int) -> list[tuple[int, int]]:
        lacking = [ts for ts in range(self.base.first_open(start), end, self.base.ms) if ts not in self.rows]
        return [(ts, ts + self.base.ms) for ts in lacking]

    def with_bars(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(begin, stop) for begin, stop in ranges if any(begin <= ts < stop for ts in self.rows)]

    @cached_property
    def span(self) -> tuple[int, int]:
        return (min(self.rows), max(self.rows) + self.base.ms) if self.rows else (0, 0)

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        return aggregate(self.newest(start), length, self.now)[-limit:]

    def newest(self, start: int) -> list[Candle]:
        return [bar for ts, bar in sorted(self.rows.items()) if start <= ts and ts + self.base.ms <= self.now]


@pytest.mark.parametrize("wanted", ["15m", "30m", "1h", "4h", "1d"])
@pytest.mark.parametrize("seed", range(12))
def test_bars_are_of_the_longest_series_and_in_its_holes_of_the_next(wanted: str, seed: int) -> None:
    rng, length = random.Random(seed), BAR_LENGTHS[wanted]
    stored = {interval: series(rng, interval, rng.choice([0.3, 0.7, 1.0])) for interval in ("1m", "15m", "1h")}
    rows = {interval: bars for interval, bars in stored.items() if BAR_LENGTHS[interval].ms <= length.ms}
    now = T0 + SPAN
    layers = [
        SeriesInMemory(NO_POOL, ChartSymbol("x", "A"), now, BAR_LENGTHS[interval], rows=rows[interval])
        for interval in sorted(rows, key=lambda each: -BAR_LENGTHS[each].ms)
    ]
    history, expected = FilledBarHistory(layers), [bar for _, bar in sorted(chosen(rows, length).items())]
    assert history.between(length, 0, now, 10_000) == expected
    for count in (1, 3, 40):
        assert history.last(length, now, count) == expected[-count:]
        assert (
            history.between(length, T0 + 5 * HOUR, T0 + 31 * HOUR, count)
            == [bar for bar in expected if T0 + 5 * HOUR <= bar.ts < T0 + 31 * HOUR][-count:]
        )
    assert history.last(length, now, 0) == []


@pytest.mark.parametrize("minutes", [1, 59, 60, 61, 150, 1_439])
def test_the_running_bar_is_of_closed_bars_by_the_rule_and_of_the_shortest_after_them(minutes: int) -> None:
    rng, day = random.Random(minutes), BAR_LENGTHS["1d"]
    stored = {interval: series(rng, interval, 0.7) for interval in ("1m", "15m", "1h")}
    now = T0 + minutes * MINUTE
    known = {
        interval: {ts: bar for ts, bar in rows.items() if ts + BAR_LENGTHS[interval].ms <= now}
        for interval, rows in stored.items()
    }
    layers = [
        SeriesInMemory(NO_POOL, ChartSymbol("x", "A"), now, BAR_LENGTHS[interval], rows=known[interval])
        for interval in ("1h", "15m", "1m")
    ]
    found = FilledBarHistory(layers).between(day, T0, now + 1, 5)
    expected = list(chosen(known, day).values())
    assert [(bar.ts, bar.prices, bar.volume) for bar in found] == [(bar.ts, bar.prices, bar.volume) for bar in expected]
    assert [bar.closed for bar in found] == [False] * len(found)
