"""Writing bars: those whose keys are new, and those that win. What stays is not touched.

What is stored is read before, by runs of neighbours: to read a range costs a tenth of COPY. While batches bring new
keys alone, COPY says so by itself and nothing is read. A run of bars that win is deleted and copied again, which costs
half of an UPDATE.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import psycopg

from tapedeck_recorder import metrics
from tapedeck_recorder.rows.bar_batch import BarBatch, IntArray
from tapedeck_recorder.rows.bar_rows import copy_rows
from tapedeck_recorder.rows.batch import CopyBuffer
from tapedeck_recorder.rows.copy_binary import PG_EPOCH_MS
from tapedeck_recorder.rows.tables import BARS
from tapedeck_recorder.store.row_merger import copy_new, merge
from tapedeck_recorder.store.timestamp_array import timestamp_array

Cursor: TypeAlias = psycopg.Cursor[Any]

LONG_RUN = 50  # with fewer rows to a run, a statement for each run costs more than a look-up of each row
_ABSENT = -1  # the rank of a bar that is not stored
_STORED_BAR = np.dtype([("ts", ">i8"), ("rank", ">i8")])

# An aggregate in a LATERAL is no join: each run is a scan of the primary key's index, whatever the planner thinks of
# the table. The range of all runs is given again, by which it leaves out all other chunks of a hypertable.
_STORED = """
SELECT run.number, found.bars
FROM unnest(%s::text[], %s::text[], %s::text[], %s, %s)
     WITH ORDINALITY AS run(exchange, symbol, interval, first, last, number),
LATERAL (
    SELECT string_agg(timestamptz_send(old.ts) || int8send(old.rev::int8 * 2 + (old.source = 'live')::int), '') AS bars
    FROM bars AS old
    WHERE old.exchange = run.exchange AND old.symbol = run.symbol AND old.interval = run.interval
      AND old.ts BETWEEN run.first AND run.last AND old.ts BETWEEN %s AND %s
) AS found
WHERE found.bars IS NOT NULL
"""

_DELETE = """
DELETE FROM bars AS old
WHERE exchange = %s AND symbol = %s AND interval = %s AND ts BETWEEN %s AND %s AND ts = ANY(%s)
  AND (rev, source = 'live') < (%s, %s)
"""


class BarWriter:
    """Writes bars in the caller's transaction."""

    def __init__(self) -> None:
        self._expects_new = True

    def write(self, cursor: Cursor, bars: BarBatch) -> None:
        """Write the bars whose keys are new, or that win against the stored ones. Raises psycopg.Error."""
        if self._expects_new and copy_new(cursor, BARS, _buffer(bars)):
            return
        stored = _stored_ranks(cursor, bars)
        new = stored == _ABSENT
        changed = ~new & (bars.rank > stored)
        self._expects_new = bool(new.all())
        if not self._expects_new:
            metrics.CONFLICTS.labels(BARS.name).inc()
        if not (new | changed).any():
            return
        buffer = _buffer(bars.take(new | changed))
        absent = not changed.any() or _delete(cursor, bars.take(changed))
        if not (absent and copy_new(cursor, BARS, buffer)):
            merge(cursor, BARS, buffer, compare=False)


def _stored_ranks(cursor: Cursor, bars: BarBatch) -> IntArray:
    """The rank of the stored bar of each key, else _ABSENT."""
    runs = bars.runs
    exchanges, symbols, intervals, _ = map(list, zip(*(run.group for run in runs), strict=True))
    firsts, lasts = np.array([run.first for run in runs]), np.array([run.last for run in runs])
    times = (timestamp_array(firsts), timestamp_array(lasts), _moment(firsts.min()), _moment(lasts.max()))
    cursor.execute("SET LOCAL jit = off")  # many ranges look dear: to compile the query takes longer than to run it
    # Not prepared: a plan for any parameters would know no range.
    rows = cursor.execute(_STORED, (exchanges, symbols, intervals, *times), prepare=False, binary=True).fetchall()
    ranks = np.full(len(bars), _ABSENT, np.int64)
    for number, raw in rows:
        run = runs[number - 1]
        found = np.frombuffer(raw, _STORED_BAR)
        found_ts = found["ts"] // 1000 + PG_EPOCH_MS
        places = np.searchsorted(bars.ts[run.rows], found_ts)  # within [first, last], so none is beyond the end
        same = bars.ts[run.rows][places] == found_ts
        ranks[run.rows][places[same]] = found["rank"][same]
    return ranks


def _delete(cursor: Cursor, bars: BarBatch) -> bool:
    """Whether the stored bars of these keys were deleted. Nothing is where that would take longer than to merge.

    Each is compared again, by the one rank that the bars have: another recorder may have stored a later revision since.
    """
    rank = bars.rank
    if len(bars) < LONG_RUN * len(bars.runs) or rank.min() != rank.max():
        return False
    live = bool(rank[0] % 2)
    for run in bars.runs:
        *series, _ = run.group
        place = (*series, _moment(run.first), _moment(run.last), timestamp_array(bars.ts[run.rows]))
        cursor.execute(_DELETE, (*place, int(bars.rev[0]), live), prepare=False)
    return True


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(int(ms) / 1000, UTC)


def _buffer(bars: BarBatch) -> CopyBuffer:
    return CopyBuffer([copy_rows(bars)], len(bars))
