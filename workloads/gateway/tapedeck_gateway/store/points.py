"""Results of transforms as bars, for symbols like coinbase:BTC/USD@sma5. Times are milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from tapedeck_common.store.aggregation import bar_open
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.resolutions import BASE
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.pool import Pool, connection_of

SERIES_MAX = 10_000

_INTERVALS = """
SELECT DISTINCT interval FROM points WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND series = %(series)s
"""
# A loose index scan: one look-up in the primary key per series instead of a scan of all points.
_SERIES = """
WITH RECURSIVE found AS (
    (SELECT exchange, symbol, interval, series FROM points ORDER BY exchange, symbol, interval, series LIMIT 1)
    UNION ALL
    SELECT n.exchange, n.symbol, n.interval, n.series FROM found AS f, LATERAL (
        SELECT exchange, symbol, interval, series FROM points
        WHERE (exchange, symbol, interval, series) > (f.exchange, f.symbol, f.interval, f.series)
        ORDER BY exchange, symbol, interval, series LIMIT 1
    ) AS n
)
SELECT DISTINCT exchange, symbol, series FROM found ORDER BY 1, 2, 3 LIMIT %s
"""
_OF = sql.SQL("""
FROM points
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s AND series = %(series)s
  AND value IS NOT NULL
""")
_BETWEEN = sql.SQL("""
SELECT (extract(epoch FROM {open}) * 1000)::int8,
       (array_agg(coalesce(open, value) ORDER BY ts, seq, length(id), id))[1], max(coalesce(high, value)),
       min(coalesce(low, value)), (array_agg(value ORDER BY ts DESC, seq DESC, length(id) DESC, id DESC))[1],
       coalesce(sum(volume), 0)
{of} AND ts >= to_timestamp(%(start)s::int8 / 1000.0) AND ts < to_timestamp(%(end)s::int8 / 1000.0)
GROUP BY 1 ORDER BY 1 DESC LIMIT %(limit)s
""")
_FIRST_OPEN = sql.SQL("SELECT (extract(epoch FROM min(ts)) * 1000)::int8 {of}").format(of=_OF)
_LAST_OPEN = sql.SQL(
    "SELECT (extract(epoch FROM max(ts)) * 1000)::int8 {of} AND ts < to_timestamp(%(end)s::int8 / 1000.0)"
).format(of=_OF)


def stored_series(pool: Pool) -> list[ChartSymbol]:
    """Every series of points, as symbols of charts."""
    with connection_of(pool) as connection:
        return [
            ChartSymbol(exchange, symbol, "", series)
            for exchange, symbol, series in connection.execute(_SERIES, (SERIES_MAX,))
        ]


def interval_of(pool: Pool, symbol: ChartSymbol) -> str | None:
    """The finest interval of a series; empty for results of trades or tickers, None for an unknown series."""
    with connection_of(pool) as connection:
        rows = connection.execute(_INTERVALS, _key(symbol)).fetchall()
    return finest(row[0] for row in rows)


def finest(intervals: Iterable[str]) -> str | None:
    """The shortest interval, empty text before all; None of none."""
    return min(intervals, key=lambda name: BAR_LENGTHS[name].ms if name else 0, default=None)


def base_of(interval: str) -> BarLength:
    """The length of the finest bars that a series of this interval can be shown with.

    Results of trades and tickers have no interval; the shortest resolution shows them.
    """
    return max(BASE, BAR_LENGTHS.get(interval, BASE), key=lambda length: length.ms)


@dataclass(frozen=True)
class PointHistory:
    """The history of a series of points. Bars that end after ``now`` have not closed and are left out."""

    pool: Pool
    symbol: ChartSymbol
    interval: str
    now: int

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        first, last = length.first_open(start), min(length.first_open(end), length.open_of(self.now))
        if first >= last or limit <= 0:
            return []
        values = self._values(start=first, end=last, limit=limit)
        with connection_of(self.pool) as connection:
            rows = connection.execute(_BETWEEN.format(of=_OF, open=bar_open(length)), values).fetchall()
        return [Candle(*row) for row in reversed(rows)]

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        first, last = self._scalar(_FIRST_OPEN), self._scalar(_LAST_OPEN, end=min(length.first_open(end), self.now))
        if first is None or last is None:
            return []
        end, first, span = length.close_of(last), length.open_of(first), length.ms * count
        while True:
            found = self.between(length, max(first, end - span), end, count)
            if len(found) >= count or end - span <= first:
                return found
            span *= 2

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        found = self._scalar(_LAST_OPEN, end=min(length.first_open(ts), length.open_of(self.now)))
        return None if found is None else length.open_of(found)

    def _scalar(self, query: sql.Composed, **values: int) -> int | None:
        with connection_of(self.pool) as connection:
            row = connection.execute(query, self._values(**values)).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def _values(self, **values: int) -> dict[str, object]:
        return {**_key(self.symbol), "interval": self.interval, **values}


def _key(symbol: ChartSymbol) -> dict[str, object]:
    return {"exchange": symbol.exchange, "symbol": symbol.symbol, "series": symbol.series}
