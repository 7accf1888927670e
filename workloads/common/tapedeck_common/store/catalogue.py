"""The series of the store, found by index lookups of the primary keys instead of table scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import psycopg
from psycopg import sql

from tapedeck_crds.session import Session

Table = Literal["bars", "trades"]

_EXCHANGES = sql.SQL("""
WITH RECURSIVE found(name) AS (
    (SELECT exchange FROM {table} ORDER BY exchange LIMIT 1)
    UNION ALL
    SELECT (SELECT exchange FROM {table} WHERE exchange > found.name ORDER BY exchange LIMIT 1)
    FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
""")

_SYMBOLS = sql.SQL("""
WITH RECURSIVE found(name) AS (
    (SELECT symbol FROM {table} WHERE exchange = %(exchange)s ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT symbol FROM {table} WHERE exchange = %(exchange)s AND symbol > found.name ORDER BY symbol LIMIT 1)
    FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
""")

_SERIES = """
SELECT interval, (extract(epoch FROM min(ts)) * 1000)::int8, (extract(epoch FROM max(ts)) * 1000)::int8
FROM bars WHERE exchange = %s AND symbol = %s GROUP BY interval ORDER BY interval
"""

_SPAN = """
SELECT (extract(epoch FROM min(ts)) * 1000)::int8, (extract(epoch FROM max(ts)) * 1000)::int8
FROM trades WHERE exchange = %s AND symbol = %s
"""

_SESSIONS = "SELECT symbol, timezone, open, close, days FROM sessions WHERE exchange = %s AND symbol = ANY(%s)"


def exchanges(connection: psycopg.Connection[Any], table: Table = "bars") -> list[str]:
    """The exchanges that have rows in a table, sorted."""
    return [row[0] for row in connection.execute(_EXCHANGES.format(table=sql.Identifier(table)))]


def symbols(connection: psycopg.Connection[Any], exchange: str, table: Table = "bars") -> list[str]:
    """The symbols of an exchange that have rows in a table, sorted."""
    query = _SYMBOLS.format(table=sql.Identifier(table))
    return [row[0] for row in connection.execute(query, {"exchange": exchange})]


def intervals(connection: psycopg.Connection[Any], exchange: str, symbol: str) -> dict[str, tuple[int, int]]:
    """Interval → first and last open (milliseconds UTC) of a symbol's bars."""
    return {row[0]: (row[1], row[2]) for row in connection.execute(_SERIES, (exchange, symbol))}


def span(connection: psycopg.Connection[Any], exchange: str, symbol: str) -> tuple[int, int] | None:
    """Time of the first and the last of a symbol's trades (milliseconds UTC), None without any."""
    row = connection.execute(_SPAN, (exchange, symbol)).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


def sessions(connection: psycopg.Connection[Any], exchange: str, symbols: Sequence[str]) -> dict[str, Session]:
    """The sessions of those of the symbols whose Feeds gave one."""
    rows = connection.execute(_SESSIONS, (exchange, list(symbols))).fetchall()
    return {
        symbol: Session(timezone=zone, open=opens, close=closes, days=days)
        for symbol, zone, opens, closes, days in rows
    }
