"""Bars made of rows of another kind: trades, tickers, results of transforms. Times are milliseconds UTC."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from psycopg import sql

from tapedeck_common.store.aggregation import bar_open
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.pool import Pool, connection_of

_FIRST = sql.SQL("SELECT (extract(epoch FROM min(ts)) * 1000)::int8 {rows}")
_LAST = sql.SQL(
    "SELECT (extract(epoch FROM max(ts)) * 1000)::int8 {rows} AND ts < to_timestamp(%(end)s::int8 / 1000.0)"
)
_BETWEEN = sql.SQL("""
SELECT (extract(epoch FROM {open}) * 1000)::int8, {prices}, {volume}
{rows} AND ts >= to_timestamp(%(start)s::int8 / 1000.0) AND ts < to_timestamp(%(end)s::int8 / 1000.0)
GROUP BY 1 ORDER BY 1 DESC LIMIT %(limit)s
""")


class GroupedHistory(ABC):
    """The history of one series of rows. Rows that are not known at ``now`` are left out; the running bar is last.

    A kind of rows has its FROM and WHERE with the names of ``_key``, open, high, low and close of a group of them, and
    the group's volume.
    """

    _rows: ClassVar[sql.Composable]
    _prices: ClassVar[sql.Composable]
    _volume: ClassVar[sql.Composable]

    def __init__(self, pool: Pool, symbol: ChartSymbol, now: int) -> None:
        self._pool = pool
        self._symbol = symbol
        self._now = now

    @property
    @abstractmethod
    def _key(self) -> dict[str, object]:
        """The values that ``_rows`` names."""

    @property
    @abstractmethod
    def _known_until(self) -> int:
        """Rows of this time and later are not known at ``now``."""

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        """The last ``limit`` bars with open in [start, end), in order."""
        first, last = length.first_open(start), min(length.first_open(end), self._known_until)
        if first >= last or limit <= 0:
            return []
        query = _BETWEEN.format(open=bar_open(length), prices=self._prices, volume=self._volume, rows=self._rows)
        with connection_of(self._pool) as connection:
            rows: list[tuple[int, float, float, float, float, float]]
            rows = connection.execute(query, {**self._key, "start": first, "end": last, "limit": limit}).fetchall()
        return [Candle(*row, length.close_of(row[0]) <= self._now) for row in reversed(rows)]

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        """The last ``count`` bars that open before ``end``, in order. The range doubles until it holds so many."""
        first, last = self._time(_FIRST), self._time(_LAST, min(length.first_open(end), self._known_until))
        if first is None or last is None:
            return []
        end, first, span = length.close_of(last), length.open_of(first), length.ms * count
        while True:
            found = self.between(length, max(first, end - span), end, count)
            if len(found) >= count or end - span <= first:
                return found
            span *= 2

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        """The open of the last bar that opens before ``ts``; None where there is none."""
        found = self._time(_LAST, min(length.first_open(ts), self._known_until))
        return None if found is None else length.open_of(found)

    def _time(self, query: sql.SQL, end: int = 0) -> int | None:
        with connection_of(self._pool) as connection:
            row: Any = connection.execute(query.format(rows=self._rows), {**self._key, "end": end}).fetchone()
        return None if row is None or row[0] is None else int(row[0])
