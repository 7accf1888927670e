"""Reading bars in bulk, in order, in bounded memory.

Postgres packs a window of bars into one array for each column, so a window costs the client a few calls whatever its
length: numpy reads the binary form of the arrays in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import pq, sql
from psycopg.adapt import Loader

from tapedeck_common.market import Bar
from tapedeck_common.store.aggregation import AggregatedBars, choose_finer, rows_of_bars
from tapedeck_crds.intervals import BAR_LENGTHS

WINDOW_ROWS = 50_000
_PG_EPOCH_US = 946_684_800_000_000  # 2000-01-01 in µs since 1970

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BarSelection:
    """Bars of one exchange and interval: symbols, and open times in [start, end), milliseconds UTC."""

    exchange: str
    symbols: tuple[str, ...]
    interval: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class ResolvedBars:
    """A selection with its range resolved, and the number of bars of each symbol.

    ``built_from`` has the symbols of which the store has no bars of the interval: theirs are aggregated from this finer
    one.
    """

    selection: BarSelection
    start: int
    end: int
    rows_of: dict[str, int]
    fingerprint: str
    built_from: AggregatedBars = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The number of bars of all symbols."""
        return sum(self.rows_of.values())

    @property
    def missing(self) -> tuple[str, ...]:
        """Symbols without a bar."""
        return tuple(symbol for symbol, rows in self.rows_of.items() if not rows)

    @property
    def last_event(self) -> int:
        """Event time of the last possible bar, milliseconds UTC."""
        return BAR_LENGTHS[self.selection.interval].close_of(self.end - 1)


@dataclass(frozen=True)
class BarBlock:
    """Bars in order, as columns of equal length: ``series`` indexes the sorted symbols of the selection."""

    series: npt.NDArray[np.int64]
    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    rev: Ints

    def __len__(self) -> int:
        return len(self.ts)

    def bars(self, exchange: str, symbols: tuple[str, ...], interval: str) -> Iterator[Bar]:
        """The block's rows as bars."""
        names = [symbols[i] for i in self.series.tolist()]
        columns = (self.ts, self.open, self.high, self.low, self.close, self.volume, self.rev)
        for symbol, ts, o, h, low, c, v, rev in zip(names, *(a.tolist() for a in columns), strict=True):
            yield Bar(exchange, symbol, interval, ts, o, h, low, c, v, True, rev)


class _ArrayLoader(Loader):
    """A one-dimensional array of 4- or 8-byte items without nulls, in the binary format of Postgres."""

    format = pq.Format.BINARY
    item = ">i8"

    def load(self, data: Any) -> npt.NDArray[Any]:
        raw = bytes(data)
        if int.from_bytes(raw[:4], "big") == 0:
            return np.empty(0, dtype=self.item[1:])
        size = np.dtype(self.item).itemsize
        record = np.dtype([("length", ">i4"), ("value", self.item)])
        if (len(raw) - 20) % (4 + size):
            raise ValueError("array: got nulls, expected none")
        values = np.frombuffer(raw, dtype=record, offset=20)["value"]
        return values.astype(np.dtype(self.item).newbyteorder("="))


class _Int4Array(_ArrayLoader):
    item = ">i4"


class _Float8Array(_ArrayLoader):
    item = ">f8"


def register_arrays(cursor: psycopg.Cursor[Any]) -> None:
    """Make a binary cursor return arrays of numbers as numpy arrays."""
    for name, loader in (("int4", _Int4Array), ("int8", _ArrayLoader), ("float8", _Float8Array)):
        cursor.adapters.register_loader(cursor.adapters.types[name].array_oid, loader)


_RESOLVE = sql.SQL("""
SELECT symbol, count(*), (extract(epoch FROM min(ts)) * 1000)::int8, (extract(epoch FROM max(ts)) * 1000)::int8,
       sum((hashint8((extract(epoch FROM ts) * 1000)::int8)::int8 * 31 + hashfloat8(open)) * 31
           + hashfloat8(high) + hashfloat8(low)::int8 * 7 + hashfloat8(close)::int8 * 17
           + hashfloat8(volume)::int8 * 13)
FROM ({rows}) AS bars WHERE symbol = ANY(%(symbols)s)
GROUP BY symbol ORDER BY symbol
""")
_COUNT = sql.SQL("SELECT count(*) FROM ({rows}) AS bars WHERE symbol = ANY(%(symbols)s)")
_WINDOW = sql.SQL("""
SELECT array_agg(series), array_agg(ts), array_agg(open), array_agg(high), array_agg(low), array_agg(close),
       array_agg(volume), array_agg(rev)
FROM (
    SELECT s.series, (extract(epoch FROM ts) * 1000)::int8 AS ts, open, high, low, close, volume, rev
    FROM ({rows}) AS bars JOIN unnest(%(symbols)s::text[], %(series)s::int4[]) AS s(symbol, series) USING (symbol)
    ORDER BY bars.ts, s.series
) AS ordered
""")


def resolve_bars(connection: psycopg.Connection[Any], selection: BarSelection) -> ResolvedBars:
    """The range and the number of bars that the selection has now, with its symbols sorted.

    Bars of symbols without a bar of the interval are aggregated from a finer interval, if the store has one.
    """
    symbols = sorted(set(selection.symbols))
    chosen = replace(selection, symbols=tuple(symbols))
    rows = _summaries(connection, chosen, symbols, {})
    found = {row[0] for row in rows}
    lacking = [symbol for symbol in symbols if symbol not in found]
    finer = choose_finer(connection, chosen.exchange, lacking, chosen.interval, chosen.start, chosen.end)
    if finer:
        rows = sorted([*rows, *_summaries(connection, chosen, list(finer), finer)])
    length = BAR_LENGTHS[selection.interval]
    first = min((row[2] for row in rows), default=selection.start or 0)
    last = max((row[3] for row in rows), default=first)
    counts = {row[0]: int(row[1]) for row in rows}
    return ResolvedBars(
        selection=chosen,
        start=first if selection.start is None else selection.start,
        end=length.close_of(last) if selection.end is None else selection.end,
        rows_of={symbol: counts.get(symbol, 0) for symbol in symbols},
        fingerprint=";".join(f"{row[0]}={row[1]}:{int(row[4]) & 0xFFFFFFFFFFFFFFFF:016x}" for row in rows),
        built_from=finer,
    )


def _summaries(
    connection: psycopg.Connection[Any], selection: BarSelection, symbols: list[str], finer: AggregatedBars
) -> list[tuple[Any, ...]]:
    rows = rows_of_bars(selection.exchange, selection.interval, finer, selection.start, selection.end)
    return connection.execute(_RESOLVE.format(rows=rows), {"symbols": symbols}).fetchall()


def count_bars(connection: psycopg.Connection[Any], resolved: ResolvedBars, end: int) -> int:
    """How many of the bars open before ``end``, milliseconds UTC."""
    chosen = resolved.selection
    rows = rows_of_bars(chosen.exchange, chosen.interval, resolved.built_from, resolved.start, end)
    row = connection.execute(_COUNT.format(rows=rows), {"symbols": list(chosen.symbols)}).fetchone()
    return int(row[0]) if row is not None else 0


def read_bar_blocks(
    connection: psycopg.Connection[Any],
    resolved: ResolvedBars,
    *,
    after: tuple[int, str] | None = None,
    window_rows: int = WINDOW_ROWS,
) -> Iterator[BarBlock]:
    """Blocks of bars in order; only those later than ``after`` = (open time, symbol) where it is given."""
    chosen = resolved.selection
    cursor = connection.cursor(binary=True)
    register_arrays(cursor)
    length = BAR_LENGTHS[chosen.interval]
    span = max(resolved.end - resolved.start, length.ms)
    width = max(length.ms, span * window_rows // max(resolved.rows, 1) // length.ms * length.ms)
    start = resolved.start if after is None else max(resolved.start, after[0])
    while start < resolved.end:
        end = min(start + width, resolved.end)
        rows = rows_of_bars(chosen.exchange, chosen.interval, resolved.built_from, start, end)
        names = {"symbols": list(chosen.symbols), "series": list(range(len(chosen.symbols)))}
        row = cursor.execute(_WINDOW.format(rows=rows), names).fetchone()
        if row is not None and row[0] is not None:
            block = BarBlock(*row)
            if after is not None and start <= after[0]:
                series = np.searchsorted(np.array(chosen.symbols), after[1], side="right")
                keep = (block.ts > after[0]) | ((block.ts == after[0]) & (block.series >= series))
                block = BarBlock(*(column[keep] for column in vars(block).values()))
            if len(block):
                yield block
        start = end
