"""The bars that a client of the gateway should receive, aggregated in another way than by its code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pods.gateway import MINUTE
from tapedeck_common.market import Bar, event_time

T0 = 1_522_800_000_000  # 2018-04-04T00:00:00Z


def day_bars(exchange: str, symbol: str, closes: list[float]) -> list[Bar]:
    """Stored daily bars with these closes, from T0."""
    day = 1_440 * MINUTE
    return [Bar(exchange, symbol, "1d", T0 + n * day, c - 1, c + 2, c - 2, c, 10.0 + n) for n, c in enumerate(closes)]


def aggregated(bars: list[Bar], minutes: int, known_until: int, *, running: bool = True) -> list[tuple[float, ...]]:
    """Coarser bars (times in seconds), aggregated by a dictionary and not by the gateway's code."""
    width = minutes * MINUTE
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        if event_time(bar) <= known_until:
            groups.setdefault(bar.ts // width * width, []).append(bar)
    return [
        (t // 1000, g[0].open, max(b.high for b in g), min(b.low for b in g), g[-1].close, sum(b.volume for b in g))
        for t, g in sorted(groups.items())
        if running or t + width <= known_until
    ]


def rows(answer: dict[str, Any]) -> list[tuple[float, ...]]:
    return list(zip(*(answer[c] for c in "tohlcv"), strict=True)) if answer["s"] == "ok" else []


def assert_same_bars(found: Sequence[Sequence[float]], expected: Sequence[tuple[float, ...]]) -> None:
    assert [tuple(r[:5]) for r in found] == [r[:5] for r in expected]
    assert [r[5] for r in found] == pytest.approx([r[5] for r in expected])


def days_of(bars: list[Bar]) -> dict[int, tuple[float, ...]]:
    """Days of minutes, by their opens in seconds."""
    return {int(row[0]): row for row in aggregated(bars, 1_440, 2**60)}
