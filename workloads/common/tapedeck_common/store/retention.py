"""Deleting what is older than its table keeps. Age is market time for bars, trades and tickers.

TimescaleDB drops whole chunks, by a policy of its own under the `timescale` licence and here under the `apache` one;
plain Postgres deletes rows, a stretch of the table at a time, so that no transaction is long.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg import sql

from tapedeck_common.store.storage import HYPERTABLES, Flavour

Keepable = Literal["bars", "trades", "tickers", "points", "ingest_errors", "runs"]

PAGES = 2_000  # of 8 KiB, about 200,000 bars
RUNS = 100
_TIME = {"bars": "ts", "trades": "ts", "tickers": "ts", "points": "ts", "ingest_errors": "at"}
_OF_RUNS = ("run_trades", "run_fills", "run_equity", "run_trials", "run_origins")


def set_policies(connection: psycopg.Connection[Any], kind: Flavour, days: Mapping[Keepable, int]) -> None:
    """Have TimescaleDB drop old chunks by itself where its licence allows; at 0 no more.

    A table that is not named is left as it is.
    """
    if kind != "timescale":
        return
    for table, kept in days.items():
        if table not in HYPERTABLES:
            continue
        connection.execute("SELECT remove_retention_policy(%s::regclass, if_exists => true)", (table,))
        if kept:
            connection.execute("SELECT add_retention_policy(%s::regclass, %s::interval)", (table, f"{kept} days"))


def retain(
    connection: psycopg.Connection[Any], kind: Flavour, days: Mapping[Keepable, int], now: datetime
) -> dict[str, int]:
    """Delete what is older than ``days`` says; a table not named, or at 0, keeps everything. Wants autocommit.

    Returns how many rows, runs or (TimescaleDB) chunks went, by table. Raises psycopg.Error; what was deleted until
    then stays deleted.
    """
    gone: dict[str, int] = {}
    for table, kept in days.items():
        if not kept:
            continue
        before = now.astimezone(UTC) - timedelta(days=kept)
        if table == "runs":
            gone[table] = _runs(connection, before)
        elif kind == "plain" or table not in HYPERTABLES:
            gone[table] = _rows(connection, table, before)
        elif kind == "apache":
            dropped = connection.execute("SELECT drop_chunks(%s::regclass, %s::timestamptz)", (table, before))
            gone[table] = len(dropped.fetchall())
        if table == "bars":
            _shorten_series(connection)
    return gone


def _shorten_series(connection: psycopg.Connection[Any]) -> None:
    """Have the catalogue say what is left, whoever deleted it."""
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
    """One pass over the table's pages. What is written behind it waits for the next."""
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
    """Runs that ended before then, each with all that belongs to it."""
    gone = 0
    while found := connection.execute(
        "SELECT run_id FROM runs WHERE ended_at < %s ORDER BY ended_at LIMIT %s", (before, RUNS)
    ).fetchall():
        names = [row[0] for row in found]
        with connection.transaction():
            for table in (*_OF_RUNS, "runs"):
                connection.execute(
                    sql.SQL("DELETE FROM {} WHERE run_id = ANY(%s)").format(sql.Identifier(table)), (names,)
                )
        gone += len(names)
    return gone
