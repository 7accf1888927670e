"""Bars of several stored series of one market, and which of them a bar is made of, by a dictionary."""

from __future__ import annotations

import random

from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.bar_columns import Candle

T0 = 1_522_800_000_000
SPAN = 2 * 24 * 3_600_000


def series(rng: random.Random, interval: str, share: float) -> dict[int, Candle]:
    """Bars of two days with holes of several bars each; the share is that of the bars which are there."""
    length, rows, there = BAR_LENGTHS[interval], dict[int, Candle](), True
    for ts in range(T0, T0 + SPAN, length.ms):
        if rng.random() < 0.2:
            there = rng.random() < share
        if there:
            rows[ts] = Candle(ts, rng.random(), 2 + rng.random(), -rng.random(), rng.random(), rng.randrange(9) + 1.0)
    return rows


def chosen(rows: dict[str, dict[int, Candle]], wanted: BarLength) -> dict[int, Candle]:
    """Every bar of a length, series by series from the shortest: the longer ones take the place of what is there."""
    known: dict[int, Candle] = {}
    for interval in sorted(rows, key=lambda each: BAR_LENGTHS[each].ms):
        length = BAR_LENGTHS[interval]
        known = of_length(known, length) | rows[interval]
    return of_length(known, wanted)


def of_length(bars: dict[int, Candle], length: BarLength) -> dict[int, Candle]:
    groups: dict[int, list[Candle]] = {}
    for ts, bar in sorted(bars.items()):
        groups.setdefault(ts // length.ms * length.ms, []).append(bar)
    return {
        ts: Candle(ts, g[0].open, max(b.high for b in g), min(b.low for b in g), g[-1].close, sum(b.volume for b in g))
        for ts, g in groups.items()
    }
