"""Warm-up: the records before the first one on the log, which transforms look back at, from the store."""

from __future__ import annotations

from typing import Any

import psycopg
import stamina

from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect
from tapedeck_transform.values import Record

_BARS = """
SELECT (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume, true, rev FROM bars
WHERE exchange = %s AND symbol = %s AND interval = %s AND ts < to_timestamp(%s::int8 / 1000.0)
ORDER BY ts DESC LIMIT %s
"""
_TRADES = """
SELECT (extract(epoch FROM ts) * 1000)::int8, id, price, amount, side, seq FROM trades
WHERE exchange = %s AND symbol = %s AND ts < to_timestamp(%s::int8 / 1000.0)
ORDER BY ts DESC, seq DESC, length(id) DESC, id DESC LIMIT %s
"""
_TICKERS = """
SELECT (extract(epoch FROM ts) * 1000)::int8, price, volume24h, high24h, low24h, bid, ask FROM tickers
WHERE exchange = %s AND symbol = %s AND ts < to_timestamp(%s::int8 / 1000.0)
ORDER BY ts DESC LIMIT %s
"""


class WarmupReader:
    """Reads records of the store, oldest first."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._connection: psycopg.Connection[Any] | None = None

    @stamina.retry(on=psycopg.OperationalError, attempts=6, timeout=30.0, wait_max=3.0)
    def records_before(self, record: Record, count: int) -> list[Record]:
        """The last ``count`` records of the same series before this one. Raises psycopg.Error."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._connections, name="tapedeck-transform")
        market = (record.exchange, record.symbol)
        query = self._connection.execute
        if isinstance(record, Bar):
            rows = query(_BARS, (*market, record.interval, record.ts, count)).fetchall()
            return [Bar(*market, record.interval, *row) for row in reversed(rows)]
        if isinstance(record, Trade):
            return [Trade(*market, *row) for row in reversed(query(_TRADES, (*market, record.ts, count)).fetchall())]
        return [Ticker(*market, *row) for row in reversed(query(_TICKERS, (*market, record.ts, count)).fetchall())]

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
