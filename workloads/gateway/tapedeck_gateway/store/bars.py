"""Bars in the database, at any resolution. Times are milliseconds UTC of a bar's open."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import starmap

from psycopg import sql

from tapedeck_common.store.aggregation import bar_open
from tapedeck_common.store.editions import ROLLUPS
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.store.pool import Connection, Pool, connection_of

_STORED = sql.SQL(
    "(SELECT exchange, symbol, ts AS bucket, open, high, low, close, volume FROM bars WHERE interval = {})"
)
_AGGREGATED = sql.SQL(
    "(SELECT exchange, symbol, {open} AS bucket,"
    " (array_agg(open ORDER BY ts))[1] AS open, max(high) AS high, min(low) AS low,"
    " (array_agg(close ORDER BY ts DESC))[1] AS close, sum(volume ORDER BY ts) AS volume"
    " FROM (SELECT exchange, symbol, bucket AS ts, open, high, low, close, volume FROM {bars} AS finer) AS f"
    " WHERE ts >= to_timestamp({start}::int8 / 1000.0) AND ts < to_timestamp({end}::int8 / 1000.0) GROUP BY 1, 2, 3)"
)
# date_part gives a float8, which takes a third of the time of extract's numeric and holds each millisecond.
_BETWEEN = sql.SQL("""
SELECT (date_part('epoch', bucket) * 1000)::int8, open, high, low, close, volume FROM {bars} AS b
WHERE exchange = %(exchange)s AND symbol = %(symbol)s
  AND bucket >= to_timestamp(%(start)s::int8 / 1000.0) AND bucket < to_timestamp(%(end)s::int8 / 1000.0)
ORDER BY bucket DESC LIMIT %(limit)s
""")
_PART = """
SELECT (array_agg(open ORDER BY ts))[1], max(high), min(low), (array_agg(close ORDER BY ts DESC))[1],
       sum(volume ORDER BY ts)
FROM bars WHERE exchange = %s AND symbol = %s AND interval = %s
    AND ts >= to_timestamp(%s::int8 / 1000.0) AND ts < to_timestamp(%s::int8 / 1000.0)
HAVING count(*) > 0
"""
_LAST_OPEN_BEFORE = """
SELECT (extract(epoch FROM max(ts)) * 1000)::int8 FROM bars
WHERE exchange = %s AND symbol = %s AND interval = %s AND ts < to_timestamp(%s::int8 / 1000.0)
"""
_FIRST_OPEN = """
SELECT (extract(epoch FROM min(ts)) * 1000)::int8 FROM bars WHERE exchange = %s AND symbol = %s AND interval = %s
"""
_NEWEST = """
SELECT s.symbol, newest.open, newest.high, newest.low, newest.close
FROM unnest(%(symbols)s::text[], %(intervals)s::text[], %(ends)s::int8[]) AS s(symbol, interval, last_end)
CROSS JOIN LATERAL (
    SELECT open, high, low, close FROM bars
    WHERE exchange = %(exchange)s AND bars.symbol = s.symbol AND bars.interval = s.interval
        AND ts < to_timestamp(s.last_end / 1000.0)
    ORDER BY ts DESC LIMIT %(limit)s
) AS newest
"""


def bars_of_length(connection: Connection, base: BarLength, length: BarLength, start: int, end: int) -> sql.Composable:
    """The SQL of bars of a length with open in [start, end), aggregated from bars of the length ``base``.

    Uses a view of coarser bars only if it is a continuous aggregate: a plain view would aggregate the whole series
    for any range.
    """
    if length == base:
        return _STORED.format(sql.Literal(base.interval))
    bars, finer = _finer_bars(connection, base, length)
    if finer == length:
        return bars
    return _AGGREGATED.format(
        open=bar_open(length),
        bars=bars,
        start=sql.Literal(length.first_open(start)),
        end=sql.Literal(length.first_open(end)),
    )


def _finer_bars(connection: Connection, base: BarLength, length: BarLength) -> tuple[sql.Composable, BarLength]:
    """The longest bars that bars of a length consist of, as SQL: a continuous aggregate, or the stored ones."""
    if base.interval == "1m" and _has_continuous_aggregates(connection):
        for name in reversed(ROLLUPS):
            view = BAR_LENGTHS[name]
            if view == length or length.consists_of(view):
                return sql.Identifier(f"bars_{name}"), view
    return _STORED.format(sql.Literal(base.interval)), base


def _has_continuous_aggregates(connection: Connection) -> bool:
    row = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    return row is not None and row[0] == "timescale"


def bars_between(
    pool: Pool, exchange: str, symbol: str, base: BarLength, length: BarLength, start: int, end: int, limit: int
) -> list[Candle]:
    """The last ``limit`` bars of a length with open in [start, end), in order."""
    if start >= end or limit <= 0:
        return []
    values = {"exchange": exchange, "symbol": symbol, "start": start, "end": end, "limit": limit}
    with connection_of(pool) as connection:
        source = bars_of_length(connection, base, length, start, end)
        rows = connection.execute(_BETWEEN.format(bars=source), values, binary=True).fetchall()
    return list(starmap(Candle, reversed(rows)))


def last_bars(
    pool: Pool, exchange: str, symbol: str, base: BarLength, length: BarLength, end: int, count: int
) -> list[Candle]:
    """The last ``count`` bars that open before ``end``, in order.

    The range doubles until it holds ``count`` bars: a gap costs a few more queries instead of a scan of the series.
    """
    end = length.first_open(end)
    first, last = first_open(pool, exchange, symbol, base), last_open_before(pool, exchange, symbol, base, end)
    if first is None or last is None:
        return []
    end, first = min(end, length.close_of(last)), length.open_of(first)
    span = length.ms * count
    while True:
        found = bars_between(pool, exchange, symbol, base, length, max(first, end - span), end, count)
        if len(found) >= count or end - span <= first:
            return found
        span *= 2


def part_of_bar(pool: Pool, exchange: str, symbol: str, base: BarLength, opened: int, until: int) -> list[Candle]:
    """The stored bars that open in [opened, until) as one bar that opens at ``opened``; none where there are none."""
    if opened >= until:
        return []
    with connection_of(pool) as connection:
        rows = connection.execute(_PART, (exchange, symbol, base.interval, opened, until), binary=True).fetchall()
    return [Candle(opened, *row) for row in rows]


def first_open(pool: Pool, exchange: str, symbol: str, base: BarLength) -> int | None:
    """The open of the series' first bar; None for a series without bars."""
    return _scalar(pool, _FIRST_OPEN, (exchange, symbol, base.interval))


def last_open_before(pool: Pool, exchange: str, symbol: str, base: BarLength, ts: int) -> int | None:
    """The open of the last bar that opens before ``ts``; None where there is none."""
    return _scalar(pool, _LAST_OPEN_BEFORE, (exchange, symbol, base.interval, ts))


def newest_prices(
    pool: Pool, exchange: str, bases: Mapping[str, BarLength], until: int, count: int = 5
) -> dict[str, list[float]]:
    """The prices of the last ``count`` bars that closed by ``until``, of each symbol's bars of one length."""
    values = {
        "exchange": exchange,
        "symbols": list(bases),
        "intervals": [base.interval for base in bases.values()],
        "ends": [base.open_of(until) for base in bases.values()],
        "limit": count,
    }
    found: dict[str, list[float]] = {}
    with connection_of(pool) as connection:
        for symbol, *prices in connection.execute(_NEWEST, values):
            found.setdefault(symbol, []).extend(prices)
    return found


def _scalar(pool: Pool, query: str, values: tuple[object, ...]) -> int | None:
    with connection_of(pool) as connection:
        row = connection.execute(query, values).fetchone()
    return None if row is None or row[0] is None else int(row[0])
