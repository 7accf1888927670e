"""Bulk reading of bars against a plain SELECT."""

from __future__ import annotations

import random

import psycopg
import pytest

from pods.store import insert_bars
from tapedeck_common.market import Bar
from tapedeck_common.store.bars import BarSelection, read_bar_blocks, resolve_bars

MINUTE = 60_000
T0 = 1_522_800_000_000


def some_bars(seed: int) -> list[Bar]:
    rng = random.Random(seed)
    bars = []
    for symbol in ("BTC/USD", "ETH/USD", "ada/usd"):
        for i in range(500):
            if rng.random() < 0.8:
                p = 100 + rng.random()
                bars.append(
                    Bar(
                        "x",
                        symbol,
                        "1m",
                        T0 + i * MINUTE,
                        p,
                        p + 1,
                        p - 1,
                        p + rng.random(),
                        rng.random(),
                        rev=i % 3,
                    )
                )
    return bars


@pytest.mark.parametrize("window", [7, 100, 100_000])
def test_reads_every_bar_in_order(store: str, window: int) -> None:
    bars = some_bars(1)
    insert_bars(store, random.Random(2).sample(bars, len(bars)))
    wanted = sorted(bars, key=lambda b: (b.ts + MINUTE, b.exchange, b.symbol))
    with psycopg.connect(store, autocommit=True) as connection:
        resolved = resolve_bars(connection, BarSelection("x", ("ada/usd", "BTC/USD", "ETH/USD", "none"), "1m"))
        assert resolved.rows == len(bars)
        assert resolved.missing == ("none",)
        assert resolved.start == min(b.ts for b in bars)
        assert resolved.end == max(b.ts for b in bars) + MINUTE
        assert resolved.last_event == max(b.ts for b in bars) + MINUTE
        blocks = read_bar_blocks(connection, resolved, window_rows=window)
        got = [bar for block in blocks for bar in block.bars("x", resolved.selection.symbols, "1m")]
        assert got == wanted
        for cut in (0, 1, 250, len(wanted) - 1):
            last = wanted[cut]
            rest = read_bar_blocks(connection, resolved, after=(last.ts, last.symbol), window_rows=window)
            assert [b for block in rest for b in block.bars("x", resolved.selection.symbols, "1m")] == wanted[cut + 1 :]
