"""The latest stored trades, tickers and points of a series. Times are milliseconds UTC.

``until`` is the last event time that a reader may see: see ``future``.
"""

from __future__ import annotations

from typing import Any, LiteralString

from tapedeck_common.market import Point, Ticker, Trade
from tapedeck_gateway.store.pool import Pool, connection_of

_TRADES: LiteralString = """
SELECT (extract(epoch FROM ts) * 1000)::int8, id, price, amount, side, seq FROM trades
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND ts <= to_timestamp(%(until)s::int8 / 1000.0)
ORDER BY ts DESC, seq DESC, length(id) DESC, id DESC LIMIT %(count)s
"""
_TICKERS: LiteralString = """
SELECT (extract(epoch FROM ts) * 1000)::int8, price, volume24h, high24h, low24h, bid, ask FROM tickers
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND ts <= to_timestamp(%(until)s::int8 / 1000.0)
ORDER BY ts DESC LIMIT %(count)s
"""
# A point is known at the close of its bar; the reader of these rows leaves out what closes after the limit.
_POINTS: LiteralString = """
SELECT interval, (extract(epoch FROM ts) * 1000)::int8, value, id, open, high, low, volume, rev, seq FROM points
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND series = %(series)s AND interval = %(interval)s
  AND ts <= to_timestamp(%(until)s::int8 / 1000.0)
ORDER BY ts DESC, seq DESC, length(id) DESC, id DESC LIMIT %(count)s
"""


def latest_trades(pool: Pool, exchange: str, symbol: str, until: int, count: int) -> list[Trade]:
    """The last ``count`` trades, in order."""
    rows = _rows(pool, _TRADES, exchange=exchange, symbol=symbol, until=until, count=count)
    return [Trade(exchange, symbol, *row) for row in rows]


def latest_tickers(pool: Pool, exchange: str, symbol: str, until: int, count: int) -> list[Ticker]:
    """The last ``count`` tickers, in order."""
    rows = _rows(pool, _TICKERS, exchange=exchange, symbol=symbol, until=until, count=count)
    return [Ticker(exchange, symbol, *row) for row in rows]


def latest_points(
    pool: Pool, exchange: str, symbol: str, series: str, interval: str, until: int, count: int
) -> list[Point]:
    """The last ``count`` results of a transform, in order, withdrawn ones too."""
    rows = _rows(
        pool, _POINTS, exchange=exchange, symbol=symbol, series=series, interval=interval, until=until, count=count
    )
    return [
        Point(exchange, symbol, interval, series, ts, value, id, opened, high, low, volume, rev, seq)
        for interval, ts, value, id, opened, high, low, volume, rev, seq in rows
    ]


def _rows(pool: Pool, query: LiteralString, **values: object) -> list[tuple[Any, ...]]:
    with connection_of(pool) as connection:
        return connection.execute(query, values).fetchall()[::-1]
