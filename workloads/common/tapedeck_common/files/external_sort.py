"""Sorts a series of any length with bounded memory: on disk once it exceeds a few megabytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from tapedeck_common.files.dedupe import SourceRow

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

    Ids count up where all are numbers and each is greater than those of earlier milliseconds. Raises sqlite3.Error
    where the disk is full.
    """
    # SQLite keeps a database without a name in memory up to the cache's size, then in a temporary
    # file that disappears with the connection, however the process ends.
    database = sqlite3.connect("", isolation_level=None)
    try:
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE source_rows (us INTEGER, id TEXT, place TEXT, value BLOB)")
        database.execute("BEGIN")
        ids = _IdsSeen()
        database.executemany("INSERT INTO source_rows VALUES (?, ?, ?, ?)", ids.watched(rows))
        by_id = ids.are_numbers and (ids.rise or not database.execute(_FALLING_IDS).fetchone())
        yield from map(SourceRow._make, database.execute(_BY_ID if by_id else _BY_LINE))
    finally:
        database.close()


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
