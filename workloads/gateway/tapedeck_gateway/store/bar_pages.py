"""Bars of any length in pages, as columns: Postgres packs a page into one array for each column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from tapedeck_common.store.bars import register_arrays
from tapedeck_crds.errors import NotFound
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.bars import bars_of_length
from tapedeck_gateway.store.page import Page, Place, rows_of
from tapedeck_gateway.store.pool import Connection, Pool, connection_of

_SERIES = """
SELECT interval, (extract(epoch FROM first_ts) * 1000)::int8, (extract(epoch FROM last_ts) * 1000)::int8
FROM bar_series WHERE exchange = %(exchange)s AND symbol = %(symbol)s
"""
_COLUMNS = sql.SQL("""
SELECT array_agg(ts), array_agg(open), array_agg(high), array_agg(low), array_agg(close), array_agg(volume) FROM (
    SELECT (date_part('epoch', bucket) * 1000)::int8 AS ts, open, high, low, close, volume FROM {bars} AS b
    WHERE exchange = %(exchange)s AND symbol = %(symbol)s
      AND bucket >= to_timestamp(%(start)s::int8 / 1000.0) AND bucket < to_timestamp(%(end)s::int8 / 1000.0)
    ORDER BY bucket LIMIT %(limit)s
) AS page
""")
_NEXT_OPEN = """
SELECT (extract(epoch FROM min(ts)) * 1000)::int8 FROM bars
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s
  AND ts >= to_timestamp(%(start)s::int8 / 1000.0)
"""


@dataclass(frozen=True)
class BarRange:
    """Bars of a length with open in [start, end), made of stored bars of the length ``base``."""

    pool: Pool
    symbol: ChartSymbol
    base: BarLength
    length: BarLength
    start: int
    end: int

    @property
    def is_stored(self) -> bool:
        """Whether the bars are stored as they are."""
        return self.base == self.length

    def page(self, place: Place | None, limit: int) -> Page:
        """The first ``limit`` bars after a place = (open,).

        Of aggregated bars it reads so many at a time: the database would aggregate the whole range before it cuts off.
        """
        start = self.start if place is None else self.length.close_of(int(place[0]))
        with connection_of(self.pool) as connection:
            while start < self.end:
                last = self.end if self.is_stored else min(self.end, self.length.shifted(start, limit))
                columns = self._columns(connection, start, last, limit)
                if columns is not None:
                    ended = len(columns[0]) < limit if self.is_stored else last >= self.end
                    return Page(columns, None if ended else (self._last_place(columns, last),))
                following = self._next_open(connection, last)
                if following is None:
                    break
                start = max(last, self.length.open_of(following))
        return Page((), None)

    def _last_place(self, columns: tuple[Any, ...], last: int) -> int:
        """Of stored bars the last one's open; of aggregated ones the last open of the range that was read."""
        return int(columns[0][-1]) if self.is_stored else self.length.open_of(last - 1)

    def _columns(self, connection: Connection, start: int, end: int, limit: int) -> tuple[Any, ...] | None:
        cursor = connection.cursor(binary=True)
        register_arrays(cursor)
        source = bars_of_length(connection, self.base, self.length, start, end)
        values = {**_key(self.symbol), "start": start, "end": end, "limit": limit}
        row = cursor.execute(_COLUMNS.format(bars=source), values).fetchone()
        return None if row is None or row[0] is None else tuple(row)

    def _next_open(self, connection: Connection, start: int) -> int | None:
        values = {**_key(self.symbol), "interval": self.base.interval, "start": start}
        row = connection.execute(_NEXT_OPEN, values).fetchone()
        return None if row is None or row[0] is None else int(row[0])


def stored_intervals(pool: Pool, symbol: ChartSymbol) -> dict[str, tuple[int, int]]:
    """Interval → first and last open of a symbol's stored bars. Raises NotFound where it has none."""
    found = bar_series(pool, symbol)
    if not found:
        raise NotFound(f"symbol: got {str(symbol)!r}, expected one with stored bars; /api/v1/symbols lists them")
    return found


def bar_series(pool: Pool, symbol: ChartSymbol) -> dict[str, tuple[int, int]]:
    """Interval → first and last open of a symbol's stored bars; empty where it has none."""
    rows = rows_of(pool, _SERIES, _key(symbol))
    return {interval: (first, last) for interval, first, last in rows if interval in BAR_LENGTHS}


def _key(symbol: ChartSymbol) -> dict[str, object]:
    return {"exchange": symbol.exchange, "symbol": symbol.symbol}
