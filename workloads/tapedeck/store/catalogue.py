"""What series the store has, told from the bars' primary key alone: no table is read through for it."""

from __future__ import annotations

from typing import Any

import psycopg

_EXCHANGES = """
WITH RECURSIVE known(name) AS (
    (SELECT exchange FROM bars ORDER BY exchange LIMIT 1)
    UNION ALL
    SELECT (SELECT exchange FROM bars WHERE exchange > known.name ORDER BY exchange LIMIT 1)
    FROM known WHERE known.name IS NOT NULL
)
SELECT name FROM known WHERE name IS NOT NULL
"""

_SYMBOLS = """
WITH RECURSIVE known(name) AS (
    (SELECT symbol FROM bars WHERE exchange = %(exchange)s ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT symbol FROM bars WHERE exchange = %(exchange)s AND symbol > known.name ORDER BY symbol LIMIT 1)
    FROM known WHERE known.name IS NOT NULL
)
SELECT name FROM known WHERE name IS NOT NULL
"""

_SERIES = """
SELECT interval, (extract(epoch FROM min(ts)) * 1000)::int8, (extract(epoch FROM max(ts)) * 1000)::int8
FROM bars WHERE exchange = %s AND symbol = %s GROUP BY interval ORDER BY interval
"""


def exchanges(connection: psycopg.Connection[Any]) -> list[str]:
    """The exchanges that have bars, sorted."""
    return [row[0] for row in connection.execute(_EXCHANGES)]


def symbols(connection: psycopg.Connection[Any], exchange: str) -> list[str]:
    """The symbols of an exchange that have bars of some interval, sorted."""
    return [row[0] for row in connection.execute(_SYMBOLS, {"exchange": exchange})]


def intervals(connection: psycopg.Connection[Any], exchange: str, symbol: str) -> dict[str, tuple[int, int]]:
    """Interval → first and last open (milliseconds UTC) of a symbol's bars."""
    return {row[0]: (row[1], row[2]) for row in connection.execute(_SERIES, (exchange, symbol))}
