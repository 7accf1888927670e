"""Removing rows of one symbol's bars or trades, with what the catalogue and the table of gaps say of them.

Times are milliseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql

from tapedeck_common.store.editions import request_rollup_refresh

RemovedTable = Literal["bars", "trades"]


@dataclass(frozen=True)
class RowSelection:
    """Rows with a time in [start, end) of one symbol; of bars in one interval, or in all for None."""

    table: RemovedTable
    exchange: str
    symbol: str
    interval: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class SelectedRows:
    """How many rows of an interval (empty for trades) are selected, with the times of the first and the last."""

    interval: str
    rows: int
    first: int
    last: int


_CHOSEN = """
exchange = %(exchange)s AND symbol = %(symbol)s
  AND ts >= coalesce(to_timestamp(%(start)s::int8 / 1000.0), '-infinity')
  AND ts < coalesce(to_timestamp(%(end)s::int8 / 1000.0), 'infinity')
"""
_OF_INTERVAL = " AND (%(interval)s::text IS NULL OR interval = %(interval)s)"
_COUNT = sql.SQL("""
SELECT {interval}, count(*), (extract(epoch FROM min(ts)) * 1000)::int8, (extract(epoch FROM max(ts)) * 1000)::int8
FROM {table} WHERE {chosen} GROUP BY 1 ORDER BY 1
""")
_DELETE = sql.SQL("DELETE FROM {table} WHERE {chosen}")

# The recorder extends a series in the transaction that writes its bars: it waits for this lock.
_LOCK_SERIES = "SELECT FROM bar_series WHERE exchange = %(exchange)s AND symbol = %(symbol)s FOR UPDATE"
_SHORTEN_SERIES = """
UPDATE bar_series AS series SET first_ts = left_over.first_ts, last_ts = left_over.last_ts
FROM (SELECT s.interval, min(b.ts) AS first_ts, max(b.ts) AS last_ts
      FROM bar_series AS s JOIN bars AS b USING (exchange, symbol, interval)
      WHERE s.exchange = %(exchange)s AND s.symbol = %(symbol)s GROUP BY s.interval) AS left_over
WHERE series.exchange = %(exchange)s AND series.symbol = %(symbol)s AND series.interval = left_over.interval
"""
_DELETE_EMPTY_SERIES = """
DELETE FROM bar_series AS series WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND NOT EXISTS (
    SELECT FROM bars WHERE bars.exchange = series.exchange AND bars.symbol = series.symbol
      AND bars.interval = series.interval)
"""
# Open and unfillable gaps stay true: the rows are missing. A filled one would say that they are stored.
_DELETE_FILLED_GAPS = """
DELETE FROM gaps WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND state = 'filled'
  AND CASE WHEN %(table)s = 'trades' THEN interval = ''
           ELSE interval <> '' AND (%(interval)s::text IS NULL OR interval = %(interval)s) END
  AND end_ts > coalesce(to_timestamp(%(start)s::int8 / 1000.0), '-infinity')
  AND start_ts < coalesce(to_timestamp(%(end)s::int8 / 1000.0), 'infinity')
"""


def selected_rows(connection: psycopg.Connection[Any], selection: RowSelection) -> list[SelectedRows]:
    """What the selection has now, by interval; empty where it has no row."""
    interval = sql.SQL("interval" if selection.table == "bars" else "''")
    statement = _COUNT.format(interval=interval, **_parts(selection))
    return [SelectedRows(*row) for row in connection.execute(statement, vars(selection))]


def remove_rows(connection: psycopg.Connection[Any], selection: RowSelection) -> int:
    """Remove the rows in one transaction, and let rollups follow; returns how many were removed.

    The catalogue keeps the first and the last bar that are left. Runs, points and records on topics stay. Needs the
    tables' owner. Raises psycopg.Error, and has then removed nothing.
    """
    values = vars(selection)
    with connection.transaction():
        if selection.table == "bars":
            connection.execute(_LOCK_SERIES, values)
        removed = connection.execute(_DELETE.format(**_parts(selection)), values).rowcount
        if selection.table == "bars":
            connection.execute(_SHORTEN_SERIES, values)
            connection.execute(_DELETE_EMPTY_SERIES, values)
        connection.execute(_DELETE_FILLED_GAPS, values)
        if selection.table == "bars" and removed:
            request_rollup_refresh(connection)
    return removed


def _parts(selection: RowSelection) -> dict[str, sql.Composable]:
    chosen = _CHOSEN + (_OF_INTERVAL if selection.table == "bars" else "")
    return {"table": sql.Identifier(selection.table), "chosen": sql.SQL(chosen)}
