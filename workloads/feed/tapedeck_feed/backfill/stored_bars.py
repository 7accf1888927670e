"""What the store has of a share: so that only the rest is asked for, and what the exchange lacks only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from tapedeck_feed.backfill.ranges import Range, Share, without

# Runs of bars without a hole (gaps and islands): within one, open minus number times length stays the same.
_PRESENT = """
SELECT min(open), max(open) FROM (
    SELECT open, open - row_number() OVER (ORDER BY open) * %(step)s::int8 AS island FROM (
        SELECT (extract(epoch FROM ts) * 1000)::int8 AS open FROM bars
        WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s
          AND ts >= to_timestamp(%(start)s::int8 / 1000.0) AND ts < to_timestamp(%(end)s::int8 / 1000.0)
    ) AS bar
) AS numbered GROUP BY island ORDER BY 1
"""

_GAPS = """
SELECT state, (extract(epoch FROM start_ts) * 1000)::int8, (extract(epoch FROM end_ts) * 1000)::int8 FROM gaps
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s AND state IN ('open', 'unfillable')
  AND start_ts < to_timestamp(%(end)s::int8 / 1000.0) AND end_ts > to_timestamp(%(start)s::int8 / 1000.0)
"""


@dataclass(frozen=True)
class Known:
    """``missing`` ranges of a share; ``healed`` ones are told as open still, though the store has their bars."""

    missing: list[Range]
    healed: list[Range]


def known_of(connection: psycopg.Connection[Any], exchange: str, share: Share) -> Known:
    """Raises psycopg.Error."""
    asked = {"exchange": exchange, "step": share.step, **share._asdict()}
    present = [(first, last + share.step) for first, last in connection.execute(_PRESENT, asked)]
    gaps = connection.execute(_GAPS, asked).fetchall()
    unfillable = [(start, end) for state, start, end in gaps if state == "unfillable"]
    missing = without((share.start, share.end), present + unfillable)
    starts = {start for start, _ in missing}
    healed = [
        (start, end) for state, start, end in gaps
        if state == "open" and start not in starts and any(first <= start < last for first, last in present)
    ]  # fmt: skip
    return Known(missing, [(start, _before(end, start, missing)) for start, end in healed])


def _before(end: int, start: int, missing: list[Range]) -> int:
    """The end of what is healed: what is missing behind it has records of its own."""
    return min([end, *(first for first, _ in missing if first > start)])
