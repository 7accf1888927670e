"""Reading trades in bulk, in order, in bounded memory.

Trades are not spread evenly over time as bars are. So the number of rows of a read is limited, and the length of the
next time window is adapted to the last read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from tapedeck_common.market import TradePlace, trade_id_key
from tapedeck_common.store.bars import Floats, Ints, register_arrays

READ_ROWS = 20_000  # what the database sorts without a file
FIRST_WIDTH_MS = 60_000
WIDTH_MAX_MS = 366 * 86_400_000
BEFORE_ALL: TradePlace = (-1, "")  # sorts before every trade of a time


@dataclass(frozen=True)
class TradeBlock:
    """Trades in order, as columns of equal length: ``series`` indexes the sorted symbols, ``side`` is buy or sell."""

    series: Ints
    ts: Ints
    seq: Ints
    id: list[str]
    price: Floats
    amount: Floats
    side: list[str]

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def last_place(self) -> TradePlace:
        """The place of the last trade within its time."""
        return int(self.seq[-1]), self.id[-1]


@dataclass(frozen=True)
class TradeSelection:
    """Trades of one exchange: sorted symbols, and times in [start, end), milliseconds UTC."""

    exchange: str
    symbols: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True)
class ResolvedTrades:
    """What a selection has: the number of trades by symbol, the first and last time, and a fingerprint of the data."""

    rows_of: dict[str, int]
    first: int
    last: int
    fingerprint: str


_FIND = """
SELECT symbol, count(*), (extract(epoch FROM min(ts)) * 1000)::int8, (extract(epoch FROM max(ts)) * 1000)::int8,
       sum(((hashint8((extract(epoch FROM ts) * 1000)::int8)::int8 * 31 + hashtext(id)) * 31 + hashtext(side)) * 31
           + seq * 131 + hashfloat8(price) + hashfloat8(amount)::int8 * 7)
FROM trades
WHERE exchange = %(exchange)s AND symbol = ANY(%(symbols)s)
  AND ts >= coalesce(to_timestamp(%(start)s::int8 / 1000.0), '-infinity')
  AND ts < coalesce(to_timestamp(%(end)s::int8 / 1000.0), 'infinity')
GROUP BY symbol ORDER BY symbol
"""

_READ = """
SELECT array_agg(series), array_agg(ts), array_agg(seq), array_agg(id), array_agg(price), array_agg(amount),
       array_agg(side)
FROM (
    SELECT s.series, (extract(epoch FROM ts) * 1000)::int8 AS ts, seq, id, price, amount, side
    FROM trades JOIN unnest(%(symbols)s::text[], %(series)s::int4[]) AS s(symbol, series) USING (symbol)
    WHERE exchange = %(exchange)s
      AND trades.ts >= to_timestamp(%(start)s::int8 / 1000.0) AND trades.ts < to_timestamp(%(end)s::int8 / 1000.0)
      AND (trades.ts, s.series, seq, length(id), id)
          > (to_timestamp(%(start)s::int8 / 1000.0), %(after)s::int4, %(seq)s::int4, %(digits)s::int4, %(id)s::text)
    ORDER BY trades.ts, s.series, seq, length(id), id LIMIT %(limit)s
) AS ordered
"""


def resolve_trades(
    connection: psycopg.Connection[Any], exchange: str, symbols: tuple[str, ...], start: int | None, end: int | None
) -> ResolvedTrades:
    """The trades that the symbols have now; without ``start`` or ``end``, from the first or to the last."""
    chosen = {"exchange": exchange, "symbols": list(symbols), "start": start, "end": end}
    rows = connection.execute(_FIND, chosen).fetchall()
    return ResolvedTrades(
        {row[0]: int(row[1]) for row in rows},
        min((row[2] for row in rows), default=0),
        max((row[3] for row in rows), default=0),
        ";".join(f"{row[0]}={row[1]}:{int(row[4]) & 0xFFFFFFFFFFFFFFFF:016x}" for row in rows),
    )


def read_trade_blocks(
    connection: psycopg.Connection[Any],
    chosen: TradeSelection,
    *,
    after: tuple[int, str, TradePlace] | None = None,
    rows: int = READ_ROWS,
) -> Iterator[TradeBlock]:
    """Blocks of at most ``rows`` trades in the order (time, symbol, place), see ``trade_key``.

    Only trades later than ``after`` = (time, symbol, place) where it is given.
    """
    cursor = connection.cursor(binary=True)
    register_arrays(cursor)
    place = (chosen.start, 0, *BEFORE_ALL)
    if after is not None and after[0] >= chosen.start:
        series = int(np.searchsorted(np.array(chosen.symbols), after[1]))
        own = series < len(chosen.symbols) and chosen.symbols[series] == after[1]
        place = (after[0], series, *(after[2] if own else BEFORE_ALL))
    width = FIRST_WIDTH_MS
    while place[0] < chosen.end:
        end = min(place[0] + width, chosen.end)
        row = cursor.execute(
            _READ,
            {
                "exchange": chosen.exchange,
                "symbols": list(chosen.symbols),
                "series": list(range(len(chosen.symbols))),
                "start": place[0],
                "end": end,
                "after": place[1],
                "seq": place[2],
                "digits": trade_id_key(place[3])[0],
                "id": place[3],
                "limit": rows,
            },
        ).fetchone()
        block = TradeBlock(*row) if row is not None and row[0] is not None else None
        if block is not None:
            yield block
        if block is not None and len(block) >= rows:
            place = (int(block.ts[-1]), int(block.series[-1]), *block.last_place)
            width = max(1, width // 2)
        else:
            place = (end, 0, *BEFORE_ALL)
            width = width * 2 if block is None or len(block) < rows // 4 else width
            width = min(width, WIDTH_MAX_MS)
