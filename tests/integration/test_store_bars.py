"""Bulk reading of bars against a plain SELECT."""

from __future__ import annotations

import random
import time

import msgspec
import pandas as pd
import psycopg
import pytest

from pods.store import insert_bars
from tapedeck_common.market import Bar
from tapedeck_common.store.bars import BarSelection, ResolvedBars, count_bars, read_bar_blocks, resolve_bars
from tapedeck_crds.intervals import BAR_LENGTHS

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


DAY = 86_400_000
JANUARY = 1_514_764_800_000  # 2018-01-01, a Monday


def by_hand(bars: list[Bar], interval: str, rule: str) -> list[Bar]:
    """The bars of a longer interval by pandas, whose rule puts each open into its bar."""
    found = []
    by_symbol: dict[str, list[Bar]] = {}
    for bar in bars:
        by_symbol.setdefault(bar.symbol, []).append(bar)
    for symbol, each in by_symbol.items():
        rows = pd.DataFrame([msgspec.structs.asdict(bar) for bar in sorted(each, key=lambda bar: bar.ts)])
        rows.index = pd.to_datetime(rows.ts, unit="ms")
        start = pd.Timestamp("1970-01-02") if interval == "3d" else "epoch"
        for opened, part in rows.groupby(pd.Grouper(freq=rule, label="left", closed="left", origin=start)):
            if len(part):
                ts = pd.Timestamp(str(opened)).value // 1_000_000
                o, c = float(part.open.iloc[0]), float(part.close.iloc[-1])
                volume = float(part.volume.sum())
                found.append(
                    Bar("y", symbol, interval, ts, o, float(part.high.max()), float(part.low.min()), c, volume)
                )
    return sorted(found, key=lambda bar: (bar.ts, bar.symbol))


@pytest.mark.parametrize(
    ("interval", "rule", "finer"),
    [("5m", "5min", "1m"), ("8h", "8h", "1h"), ("1w", "W-MON", "1h"), ("1M", "MS", "1h"), ("3d", "3D", "1h")],
)
def test_bars_of_a_longer_interval_are_aggregated(store: str, interval: str, rule: str, finer: str) -> None:
    """Two months of hours, an hour of minutes, and a symbol whose bars of the interval are stored."""
    rng = random.Random(3)
    hours = [bar("H", "1h", JANUARY + 30 * DAY + i * 3_600_000, rng) for i in range(24 * 62) if rng.random() < 0.9]
    minutes = [bar("H", "1m", JANUARY + 30 * DAY + i * MINUTE, rng) for i in range(60)]
    own = bar("own", interval, BAR_LENGTHS[interval].first_open(JANUARY), rng)
    insert_bars(store, [*hours, *minutes, own, bar("own", "1m", JANUARY, rng)])
    wanted = sorted(
        [*by_hand(hours if finer == "1h" else minutes, interval, rule), own], key=lambda b: (b.ts, b.symbol)
    )
    with psycopg.connect(store, autocommit=True) as connection:
        resolved = resolve_bars(connection, BarSelection("y", ("own", "H", "none"), interval))
        assert resolved.built_from == {"H": finer}
        assert resolved.missing == ("none",)
        assert resolved.rows_of["H"] == len(wanted) - 1
        got = read(connection, resolved, window_rows=3)
        assert [msgspec.structs.replace(each, volume=0) for each in got] == [
            msgspec.structs.replace(each, volume=0) for each in wanted
        ]
        assert [each.volume for each in got] == pytest.approx([each.volume for each in wanted])
        assert read(connection, resolved, after=(wanted[1].ts, wanted[1].symbol)) == got[2:]
        assert count_bars(connection, resolved, wanted[2].ts + 1) == 3
        part = resolve_bars(connection, BarSelection("y", ("H",), interval, wanted[1].ts + 1, wanted[3].ts))
        assert read(connection, part) == got[2:3]


def test_a_bar_that_is_not_over_is_not_aggregated(store: str) -> None:
    rng = random.Random(1)
    today = time.time_ns() // 1_000_000 // DAY * DAY
    insert_bars(store, [bar("H", "1d", today + day * DAY, rng) for day in range(-40, 1)])
    with psycopg.connect(store, autocommit=True) as connection:
        resolved = resolve_bars(connection, BarSelection("y", ("H",), "1w"))
        last = read(connection, resolved)[-1]
    assert last.ts + 7 * DAY == resolved.last_event <= today + DAY


def bar(symbol: str, interval: str, ts: int, rng: random.Random) -> Bar:
    price = 100 + rng.random()
    return Bar("y", symbol, interval, ts, price, price + 1, price - 1, price + rng.random(), rng.random())


def read(
    connection: psycopg.Connection,
    resolved: ResolvedBars,
    *,
    window_rows: int = 100,
    after: tuple[int, str] | None = None,
) -> list[Bar]:
    selection = resolved.selection
    blocks = read_bar_blocks(connection, resolved, window_rows=window_rows, after=after)
    return [each for block in blocks for each in block.bars("y", selection.symbols, selection.interval)]
