"""Deleting rows older than the retention of their table. The age of bars, trades and tickers is market time.

TimescaleDB drops whole chunks: by its own policy under the `timescale` licence, by this module under the `apache` one.
Plain Postgres deletes rows in ranges of pages, to keep transactions short.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg import sql

from tapedeck_common.store.editions import HYPERTABLES, Edition

RetainedTable = Literal["bars", "trades", "tickers", "points", "ingest_errors", "runs"]

PAGES = 2_000  # of 8 KiB, about 200,000 bars
RUNS = 100
_TIME = {"bars": "ts", "trades": "ts", "tickers": "ts", "points": "ts", "ingest_errors": "at"}
_OF_RUNS = ("run_trades", "run_fills", "run_equity", "run_trials", "run_origins")


def set_retention_policies(
    connection: psycopg.Connection[Any], kind: Edition, days: Mapping[RetainedTable, int]
) -> None:
    """Set TimescaleDB's own retention policies where its licence allows; 0 days removes a policy.

    The policy of a table that is not named is left unchanged.
    """
    if kind != "timescale":
        return
    for table, kept in days.items():
        if table not in HYPERTABLES:
            continue
        connection.execute("SELECT remove_retention_policy(%s::regclass, if_exists => true)", (table,))
        if kept:
            connection.execute("SELECT add_retention_policy(%s::regclass, %s::interval)", (table, f"{kept} days"))


def delete_expired(
    connection: psycopg.Connection[Any], kind: Edition, days: Mapping[RetainedTable, int], now: datetime
) -> dict[str, int]:
    """Delete the rows that are older than ``days``; a table that is not named, or at 0, keeps all. Needs autocommit.

    Returns the number of deleted rows, runs or (TimescaleDB) chunks by table. Raises psycopg.Error; rows deleted before
    the error stay deleted.
    """
    deleted: dict[str, int] = {}
    for table, kept in days.items():
        if not kept:
            continue
        before = now.astimezone(UTC) - timedelta(days=kept)
        if table == "runs":
            deleted[table] = _runs(connection, before)
        elif kind == "plain" or table not in HYPERTABLES:
            deleted[table] = _rows(connection, table, before)
        elif kind == "apache":
            dropped = connection.execute("SELECT drop_chunks(%s::regclass, %s::timestamptz)", (table, before))
            deleted[table] = len(dropped.fetchall())
        if table == "bars":
            _shorten_series(connection)
    return deleted


def _shorten_series(connection: psycopg.Connection[Any]) -> None:
    """Update the first bar of each series in the catalogue, and remove series without bars."""
    connection.execute(
        """UPDATE bar_series AS series SET first_ts = (
            SELECT min(ts) FROM bars WHERE bars.exchange = series.exchange AND bars.symbol = series.symbol
              AND bars.interval = series.interval AND bars.ts <= series.last_ts)
        WHERE EXISTS (SELECT 1 FROM bars WHERE bars.exchange = series.exchange AND bars.symbol = series.symbol
                        AND bars.interval = series.interval AND bars.ts = series.last_ts)
          AND NOT EXISTS (SELECT 1 FROM bars WHERE bars.exchange = series.exchange AND bars.symbol = series.symbol
                            AND bars.interval = series.interval AND bars.ts = series.first_ts)"""
    )
    connection.execute(
        """DELETE FROM bar_series AS series WHERE NOT EXISTS (
            SELECT 1 FROM bars WHERE bars.exchange = series.exchange AND bars.symbol = series.symbol
              AND bars.interval = series.interval AND bars.ts = series.last_ts)"""
    )


def _rows(connection: psycopg.Connection[Any], table: str, before: datetime) -> int:
    """One pass over the pages of the table. Rows written to pages already passed are left to the next run."""
    row = connection.execute("SELECT pg_relation_size(%s::regclass) / 8192", (table,)).fetchone()
    pages = int(row[0]) if row else 0
    return sum(
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE ctid >= {}::tid AND ctid < {}::tid AND {} < {}").format(
                sql.Identifier(table),
                sql.Literal(f"({page},0)"),
                sql.Literal(f"({page + PAGES},0)"),
                sql.Identifier(_TIME[table]),
                sql.Literal(before),
            )
        ).rowcount
        for page in range(0, pages, PAGES)
    )


def _runs(connection: psycopg.Connection[Any], before: datetime) -> int:
    """Runs that ended before ``before``, with their rows in the other tables."""
    deleted = 0
    while found := connection.execute(
        "SELECT run_id FROM runs WHERE ended_at < %s ORDER BY ended_at LIMIT %s", (before, RUNS)
    ).fetchall():
        names = [row[0] for row in found]
        with connection.transaction():
            for table in (*_OF_RUNS, "runs"):
                connection.execute(
                    sql.SQL("DELETE FROM {} WHERE run_id = ANY(%s)").format(sql.Identifier(table)), (names,)
                )
        deleted += len(names)
    return deleted
