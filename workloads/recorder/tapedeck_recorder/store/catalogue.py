"""The catalogue: series with their first and last bar, listings and sessions. Updated in the bars' transaction."""

from __future__ import annotations

from typing import Any

import psycopg

from tapedeck_recorder.rows.batch import Batch

# All bars of a series are in one partition, so two writers never lock the same row.
_SERIES = """
INSERT INTO bar_series (exchange, symbol, interval, first_ts, last_ts)
SELECT exchange, symbol, interval, to_timestamp(first / 1000.0), to_timestamp(last / 1000.0)
FROM unnest(%s::text[], %s::text[], %s::text[], %s::int8[], %s::int8[]) AS b(exchange, symbol, interval, first, last)
ON CONFLICT (exchange, symbol, interval) DO UPDATE
SET first_ts = least(bar_series.first_ts, EXCLUDED.first_ts), last_ts = greatest(bar_series.last_ts, EXCLUDED.last_ts)
WHERE EXCLUDED.first_ts < bar_series.first_ts OR EXCLUDED.last_ts > bar_series.last_ts
"""

_LISTINGS = """
INSERT INTO listings (exchange, symbol, base, quote, price_step, amount_step, listed_at)
VALUES (%s, %s, %s, %s, %s, %s, to_timestamp(%s / 1000.0))
ON CONFLICT (exchange, symbol) DO UPDATE
SET base = EXCLUDED.base, quote = EXCLUDED.quote, price_step = EXCLUDED.price_step,
    amount_step = EXCLUDED.amount_step, listed_at = EXCLUDED.listed_at
WHERE EXCLUDED.listed_at > listings.listed_at
"""

_SESSIONS = """
INSERT INTO sessions (exchange, symbol, timezone, open, close, days, said_at)
VALUES (%s, %s, %s, %s, %s, %s, to_timestamp(%s / 1000.0))
ON CONFLICT (exchange, symbol) DO UPDATE
SET timezone = EXCLUDED.timezone, open = EXCLUDED.open, close = EXCLUDED.close, days = EXCLUDED.days,
    said_at = EXCLUDED.said_at
WHERE EXCLUDED.said_at > sessions.said_at
"""


def upsert_catalogue(cursor: psycopg.Cursor[Any], batch: Batch) -> None:
    """Extend the series by the batch's bars, and keep the latest listings and sessions. Raises psycopg.Error."""
    if batch.bars is not None:
        rows = sorted((*series, *opens) for series, opens in batch.bars.open_ranges.items())
        cursor.execute(_SERIES, [list(column) for column in zip(*rows, strict=True)])
    if batch.listings:
        cursor.executemany(
            _LISTINGS,
            [
                (each.exchange, each.symbol, each.base, each.quote, each.price_step, each.amount_step, each.at)
                for each in batch.listings
            ],
        )
    if batch.sessions:
        cursor.executemany(
            _SESSIONS,
            [
                (each.exchange, each.symbol, each.timezone, each.open, each.close, each.days, each.at)
                for each in batch.sessions
            ],
        )
