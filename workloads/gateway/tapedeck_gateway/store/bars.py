"""What the gateway asks the database: bars of any resolution and which series there are."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from tapedeck_common.settings import Connections
from tapedeck_common.store.database import pool
from tapedeck_common.store.storage import COARSER
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_gateway.charts.bar_columns import Candle

Pool = ConnectionPool[psycopg.Connection[Any]]
STATEMENT_LIMIT = "15s"

_BASE = sql.SQL("(SELECT exchange, symbol, ts AS bucket, open, high, low, close, volume FROM bars WHERE interval = {})")
_BUILT = sql.SQL(
    "(SELECT exchange, symbol, date_bin({width}::interval, ts, 'epoch'::timestamptz) AS bucket,"
    " (array_agg(open ORDER BY ts))[1] AS open, max(high) AS high, min(low) AS low,"
    " (array_agg(close ORDER BY ts DESC))[1] AS close, sum(volume) AS volume"
    " FROM bars WHERE interval = {interval}"
    " AND ts >= to_timestamp({start}::int8 / 1000.0) AND ts < to_timestamp({end}::int8 / 1000.0) GROUP BY 1, 2, 3)"
)
_RANGE = sql.SQL("""
SELECT (extract(epoch FROM bucket) * 1000)::int8, open, high, low, close, volume FROM {bars} AS b
WHERE exchange = %(exchange)s AND symbol = %(symbol)s
  AND bucket >= to_timestamp(%(start)s::int8 / 1000.0) AND bucket < to_timestamp(%(end)s::int8 / 1000.0)
ORDER BY bucket DESC LIMIT %(limit)s
""")
_LAST_BEFORE = """
SELECT (extract(epoch FROM max(ts)) * 1000)::int8 FROM bars
WHERE exchange = %s AND symbol = %s AND interval = %s AND ts < to_timestamp(%s::int8 / 1000.0)
"""
_FIRST = """
SELECT (extract(epoch FROM min(ts)) * 1000)::int8 FROM bars WHERE exchange = %s AND symbol = %s AND interval = %s
"""
_SERIES = "SELECT exchange, symbol FROM bar_series WHERE interval = '1m' ORDER BY exchange, symbol LIMIT 10000"


def open_pool(connections: Connections) -> Pool:
    """A pool whose statements have a time limit, opened without waiting for the database."""
    made = pool(connections, name="tapedeck-gateway")
    if isinstance(made.kwargs, dict):
        made.kwargs["options"] = f"-c statement_timeout={STATEMENT_LIMIT}"
    made.open(wait=False)
    return made


def _bars(connection: psycopg.Connection[Any], base: str, width: int, start: int, end: int) -> sql.Composable:
    """Where bars of ``width`` with open in [start, end) are.

    The views of coarser bars only where the database keeps them ready: a plain view would go through the
    whole series for any range.
    """
    if width == INTERVAL_MS[base]:
        return _BASE.format(sql.Literal(base))
    named = [name for name in COARSER if INTERVAL_MS[name] == width]
    if base == "1m" and named and _keeps_coarser(connection):
        return sql.Identifier(f"bars_{named[0]}")
    return _BUILT.format(
        width=sql.Literal(f"{width} milliseconds"),
        interval=sql.Literal(base),
        start=sql.Literal(-(-start // width) * width),
        end=sql.Literal(-(-end // width) * width),
    )


def _keeps_coarser(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    return row is not None and row[0] == "timescale"


def bars_between(
    pool: Pool, exchange: str, symbol: str, base: str, width: int, start: int, end: int, limit: int
) -> list[Candle]:
    """The last ``limit`` bars of ``width`` with open in [start, end), in order; times in milliseconds UTC."""
    if start >= end or limit <= 0:
        return []
    values = {"exchange": exchange, "symbol": symbol, "start": start, "end": end, "limit": limit}
    with pool.connection() as connection:
        source = _bars(connection, base, width, start, end)
        rows = connection.execute(_RANGE.format(bars=source), values, binary=True).fetchall()
    return [Candle(*row) for row in reversed(rows)]


def bars_back(pool: Pool, exchange: str, symbol: str, base: str, width: int, end: int, count: int) -> list[Candle]:
    """The last ``count`` bars that open before ``end``, however far back, in order.

    The window doubles until it holds enough, so that a gap costs a few more looks and not a scan of
    the whole series.
    """
    end = -(-end // width) * width
    first, last = first_open(pool, exchange, symbol, base), last_open_before(pool, exchange, symbol, base, end)
    if first is None or last is None:
        return []
    end = min(end, last - last % width + width)
    span = width * count
    while True:
        found = bars_between(pool, exchange, symbol, base, width, max(first - width, end - span), end, count)
        if len(found) >= count or end - span <= first:
            return found
        span *= 2


def first_open(pool: Pool, exchange: str, symbol: str, base: str) -> int | None:
    """Open of the series' first bar, milliseconds UTC."""
    return _one(pool, _FIRST, (exchange, symbol, base))


def last_open_before(pool: Pool, exchange: str, symbol: str, base: str, ts: int) -> int | None:
    """Open of the last bar before ``ts``, milliseconds UTC."""
    return _one(pool, _LAST_BEFORE, (exchange, symbol, base, ts))


def series_kept(pool: Pool) -> list[tuple[str, str]]:
    """(exchange, symbol) of every series of one-minute bars."""
    with pool.connection() as connection:
        return [(row[0], row[1]) for row in connection.execute(_SERIES)]


def _one(pool: Pool, query: str, values: tuple[object, ...]) -> int | None:
    with pool.connection() as connection:
        row = connection.execute(query, values).fetchone()
    return None if row is None or row[0] is None else int(row[0])
