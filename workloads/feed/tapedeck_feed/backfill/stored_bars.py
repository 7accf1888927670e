"""What the store has of a series: stored bars are not downloaded again, and unfillable gaps are requested once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tapedeck_common.store.aggregation import bar_number
from tapedeck_feed.backfill.ranges import Range, SeriesSlice, subtract

# Runs of bars without a gap ("gaps and islands"): within one, the bar's number minus the row's number is constant.
_STORED_RANGES = sql.SQL("""
SELECT (extract(epoch FROM min(ts)) * 1000)::int8, (extract(epoch FROM max(ts)) * 1000)::int8 FROM (
    SELECT ts, {number} - row_number() OVER (ORDER BY ts) AS island FROM bars
    WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s
      AND ts >= to_timestamp(%(start)s::int8 / 1000.0) AND ts < to_timestamp(%(end)s::int8 / 1000.0)
) AS numbered GROUP BY island ORDER BY 1
""")

_GAPS = """
SELECT state, (extract(epoch FROM start_ts) * 1000)::int8, (extract(epoch FROM end_ts) * 1000)::int8 FROM gaps
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s AND state IN ('open', 'unfillable')
  AND start_ts < to_timestamp(%(end)s::int8 / 1000.0) AND end_ts > to_timestamp(%(start)s::int8 / 1000.0)
"""


@dataclass(frozen=True)
class SliceCoverage:
    """``missing``: the ranges to download. ``filled``: gaps recorded as open whose bars the store has."""

    missing: list[Range]
    filled: list[Range]


def load_coverage(connection: psycopg.Connection[Any], exchange: str, series_slice: SeriesSlice) -> SliceCoverage:
    """Compare a slice with the tables ``bars`` and ``gaps``. Raises psycopg.Error."""
    parameters, length = {"exchange": exchange, **series_slice._asdict()}, series_slice.length
    ranges = connection.execute(_STORED_RANGES.format(number=bar_number(length)), parameters)
    stored = [(first, length.close_of(last)) for first, last in ranges]
    gaps = connection.execute(_GAPS, parameters).fetchall()
    unfillable = [(start, end) for state, start, end in gaps if state == "unfillable"]
    missing = subtract((series_slice.start, series_slice.end), stored + unfillable)
    missing_starts = {start for start, _ in missing}
    filled = [
        (start, end) for state, start, end in gaps
        if state == "open" and start not in missing_starts and any(first <= start < last for first, last in stored)
    ]  # fmt: skip
    return SliceCoverage(missing, [(start, _end_of_filled(start, end, missing)) for start, end in filled])


def _end_of_filled(start: int, end: int, missing: list[Range]) -> int:
    """A filled gap ends at the next missing range, which gets a record of its own."""
    return min([end, *(first for first, _ in missing if first > start)])
