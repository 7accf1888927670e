"""What transforms result in, as bars: of a name like coinbase:BTC/USD@sma5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from tapedeck_crds.base import INTERVAL_MS
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import Name
from tapedeck_gateway.store.bars import Pool

TICKS_MS = 60_000  # results of trades and tickers have no length of their own: the shortest resolution
LIMIT = 10_000

_INTERVALS = """
SELECT DISTINCT interval FROM points WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND series = %(series)s
"""
# Jumps along the primary key, as the store's series are found.
_NAMES = """
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
_BARS = sql.SQL("""
SELECT (extract(epoch FROM date_bin(%(width)s * interval '1 millisecond', ts, 'epoch')) * 1000)::int8,
       (array_agg(coalesce(open, value) ORDER BY ts, length(id), id))[1], max(coalesce(high, value)),
       min(coalesce(low, value)), (array_agg(value ORDER BY ts DESC, length(id) DESC, id DESC))[1],
       coalesce(sum(volume), 0)
{of} AND ts >= to_timestamp(%(start)s::int8 / 1000.0) AND ts < to_timestamp(%(end)s::int8 / 1000.0)
GROUP BY 1 ORDER BY 1 DESC LIMIT %(limit)s
""").format(of=_OF)
_FIRST = sql.SQL("SELECT (extract(epoch FROM min(ts)) * 1000)::int8 {of}").format(of=_OF)
_LAST = sql.SQL(
    "SELECT (extract(epoch FROM max(ts)) * 1000)::int8 {of} AND ts < to_timestamp(%(end)s::int8 / 1000.0)"
).format(of=_OF)


def names_kept(pool: Pool) -> list[Name]:
    """Every series of points."""
    with pool.connection() as connection:
        return [Name(exchange, symbol, "", series) for exchange, symbol, series in connection.execute(_NAMES, (LIMIT,))]


def interval_of(pool: Pool, name: Name) -> str | None:
    """The finest interval of a series: empty where it is of trades or tickers, None where there is no such series."""
    with pool.connection() as connection:
        rows = connection.execute(_INTERVALS, _key(name)).fetchall()
    return min((row[0] for row in rows), key=lambda interval: INTERVAL_MS.get(interval, 0), default=None)


def base_of(interval: str) -> int:
    """The length of the finest bars, milliseconds."""
    return max(INTERVAL_MS.get(interval, 0), TICKS_MS)


@dataclass(frozen=True)
class PointsPast:
    """A series of points. ``now`` closes bars: those that end later are still forming."""

    pool: Pool
    name: Name
    interval: str
    now: int

    def bars(self, width: int, start: int, end: int, limit: int) -> list[Candle]:
        first, last = -(-start // width) * width, min(-(-end // width) * width, self.now - self.now % width)
        if first >= last or limit <= 0:
            return []
        values = self._values(width=width, start=first, end=last, limit=limit)
        with self.pool.connection() as connection:
            return [Candle(*row) for row in reversed(connection.execute(_BARS, values).fetchall())]

    def back(self, width: int, end: int, count: int) -> list[Candle]:
        first, last = self._one(_FIRST), self._one(_LAST, end=min(-(-end // width) * width, self.now))
        if first is None or last is None:
            return []
        end, span = last - last % width + width, width * count
        while True:
            found = self.bars(width, max(first - first % width, end - span), end, count)
            if len(found) >= count or end - span <= first:
                return found
            span *= 2

    def last_before(self, width: int, ts: int) -> int | None:
        found = self._one(_LAST, end=min(-(-ts // width) * width, self.now - self.now % width))
        return None if found is None else found - found % width

    def _one(self, query: sql.Composed, **values: int) -> int | None:
        with self.pool.connection() as connection:
            row = connection.execute(query, self._values(**values)).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def _values(self, **values: int) -> dict[str, Any]:
        return {**_key(self.name), "interval": self.interval, **values}


def _key(name: Name) -> dict[str, Any]:
    return {"exchange": name.exchange, "symbol": name.symbol, "series": name.series}
