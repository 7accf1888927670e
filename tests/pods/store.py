"""Rows put into the store past the recorder."""

from __future__ import annotations

import psycopg

from tapedeck_common.market import Bar


def insert_bars(dsn: str, bars: list[Bar]) -> None:
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(
            "INSERT INTO bars VALUES (%s,%s,%s,to_timestamp(%s/1000.0),%s,%s,%s,%s,%s,%s,'backfill')",
            [(b.exchange, b.symbol, b.interval, b.ts, b.open, b.high, b.low, b.close, b.volume, b.rev) for b in bars],
        )
