"""The catalogue, moved on in the transaction that writes the bars: series with their spans, and listings."""

from __future__ import annotations

from typing import Any

import psycopg

from tapedeck_recorder.rows.batch import Batch

# A series' rows come from one partition, so two writers never wait for one another here.
_SERIES = """
INSERT INTO bar_series (exchange, symbol, interval, first_ts, last_ts)
SELECT exchange, symbol, interval, to_timestamp(first / 1000.0), to_timestamp(last / 1000.0)
FROM unnest(%s::text[], %s::text[], %s::text[], %s::int8[], %s::int8[]) AS seen(exchange, symbol, interval, first, last)
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


def write_catalogue(cursor: psycopg.Cursor[Any], batch: Batch) -> None:
    """What the batch's bars and listings add. Raises psycopg.Error."""
    if batch.spans:
        rows = sorted((*series, *span) for series, span in batch.spans.items())
        cursor.execute(_SERIES, [list(column) for column in zip(*rows, strict=True)])
    if batch.listings:
        cursor.executemany(
            _LISTINGS,
            [
                (one.exchange, one.symbol, one.base, one.quote, one.price_step, one.amount_step, one.at)
                for one in batch.listings
            ],
        )
