"""Sorts a series of any length with bounded memory: on disk once it exceeds a few megabytes.

Most files are in order: their rows are written to a file and read again; only others are sorted, by SQLite.
"""

from __future__ import annotations

import marshal
import operator
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import IO

from tapedeck_common.files.dedupe import SourceRow
from tapedeck_common.files.errors import CannotSort

SPOOL_ROWS = 2_000
SPOOL_BYTES = 4 * 2**20
"""Of rows in order that are kept in memory; more are on disk."""
CACHE_KIB = 32_768
DIGITS_MAX = 18  # of an id that SQLite can compare as a number

# Whether an id of a millisecond is not greater than one of an earlier millisecond.
_FALLING_IDS = """
SELECT 1 FROM (
    SELECT lowest, lag(highest) OVER (ORDER BY ms) AS before FROM (
        SELECT us / 1000 AS ms, min(CAST(id AS INTEGER)) AS lowest, max(CAST(id AS INTEGER)) AS highest
        FROM source_rows GROUP BY us / 1000
    )
) WHERE lowest <= before LIMIT 1
"""
_BY_ID = "SELECT us, id, place, value FROM source_rows ORDER BY us / 1000, length(id), id, rowid"
_BY_LINE = "SELECT us, id, place, value FROM source_rows ORDER BY us, rowid"


def external_sort(rows: Iterable[SourceRow]) -> Iterator[SourceRow]:
    """The rows by time: those of one millisecond by their ids where these count up, else by microsecond and line.

    Ids count up where all are numbers and each is greater than those of earlier milliseconds. Raises CannotSort where
    the disk is full.
    """
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        remaining = iter(rows)
        ids = _IdsSeen()
        unordered = _write_ordered(spool, ids.watched(remaining), ids)
        if unordered is None:
            yield from _spooled(spool)
        else:
            yield from _sorted(chain(_spooled(spool), unordered, ids.watched(remaining)), ids)


def _write_ordered(spool: IO[bytes], rows: Iterator[SourceRow], ids: _IdsSeen) -> list[SourceRow] | None:
    """Write rows while they are in order; returns those that were read and not written, None if all were in order."""
    last = 0
    while part := list(islice(rows, SPOOL_ROWS)):
        times = [last, *(row.us for row in part)]
        if (ids.are_numbers and not ids.rise) or any(map(operator.gt, times, times[1:])):
            return part
        last = times[-1]
        with _space():
            marshal.dump([tuple(row) for row in part], spool)
    return None


def _spooled(spool: IO[bytes]) -> Iterator[SourceRow]:
    spool.seek(0)
    while True:
        try:
            part = marshal.load(spool)
        except EOFError:
            return
        yield from map(SourceRow._make, part)


def _sorted(rows: Iterable[SourceRow], ids: _IdsSeen) -> Iterator[SourceRow]:
    # SQLite keeps a database without a name in memory up to the cache's size, then in a temporary
    # file that disappears with the connection, however the process ends.
    database = sqlite3.connect("", isolation_level=None)
    try:
        with _space():
            database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("CREATE TABLE source_rows (us INTEGER, id TEXT, place TEXT, value BLOB)")
            database.execute("BEGIN")
            database.executemany("INSERT INTO source_rows VALUES (?, ?, ?, ?)", rows)
            by_id = ids.are_numbers and (ids.rise or not database.execute(_FALLING_IDS).fetchone())
            ordered = database.execute(_BY_ID if by_id else _BY_LINE)
        yield from map(SourceRow._make, ordered)
    finally:
        database.close()


@contextmanager
def _space() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise CannotSort(f"the temporary disk cannot hold the rows to sort: {error}") from error


class _IdsSeen:
    """What the ids are like, in the order of the rows.

    - ``are_numbers``: each is a number.
    - ``rise``: the times never fall, and each id is greater than the one before: they count up without a doubt.
    """

    def __init__(self) -> None:
        self.are_numbers = self.rise = True
        self._last = (-1, -1)

    def watched(self, rows: Iterable[SourceRow]) -> Iterator[SourceRow]:
        for row in rows:
            if self.are_numbers:
                self._look_at(row)
            yield row

    def _look_at(self, row: SourceRow) -> None:
        self.are_numbers = row.id.isascii() and row.id.isdigit() and len(row.id) <= DIGITS_MAX
        if self.are_numbers and self.rise:
            us, number = row.us, int(row.id)
            self.rise = us >= self._last[0] and number > self._last[1]
            self._last = (us, number)
