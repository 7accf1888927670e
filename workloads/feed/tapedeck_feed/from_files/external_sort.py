"""Sorting a series of any length: on disk, once it no longer fits into a few megabytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from tapedeck_feed.from_files.dedupe import Entry

CACHE_KIB = 32_768


def in_order(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries by key, those of one key as they came. Raises sqlite3.Error where the disk is full."""
    # SQLite keeps a database without a name in memory up to the cache's size, then in a temporary
    # file that goes away with the connection, however the process ends.
    database = sqlite3.connect("", isolation_level=None)
    try:
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE entries (ts INTEGER, size INTEGER, id TEXT, place TEXT, value BLOB)")
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?)", ((*e.key, e.place, e.value) for e in entries)
        )
        rows = database.execute("SELECT ts, size, id, place, value FROM entries ORDER BY ts, size, id, rowid")
        for ts, size, name, place, value in rows:
            yield Entry((ts, size, name), place, value)
    finally:
        database.close()
