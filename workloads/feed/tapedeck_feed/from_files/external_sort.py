"""Sorts a series of any length with bounded memory: on disk once it exceeds a few megabytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from tapedeck_feed.from_files.dedupe import SourceRow

CACHE_KIB = 32_768


def external_sort(rows: Iterable[SourceRow]) -> Iterator[SourceRow]:
    """The rows by key, those with equal keys in their order. Raises sqlite3.Error where the disk is full."""
    # SQLite keeps a database without a name in memory up to the cache's size, then in a temporary
    # file that disappears with the connection, however the process ends.
    database = sqlite3.connect("", isolation_level=None)
    try:
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE source_rows (ts INTEGER, size INTEGER, id TEXT, place TEXT, value BLOB)")
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO source_rows VALUES (?, ?, ?, ?, ?)", ((*row.key, row.place, row.value) for row in rows)
        )
        for ts, size, trade_id, place, value in database.execute(
            "SELECT ts, size, id, place, value FROM source_rows ORDER BY ts, size, id, rowid"
        ):
            yield SourceRow((ts, size, trade_id), place, value)
    finally:
        database.close()
