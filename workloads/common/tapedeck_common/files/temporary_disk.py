"""The disk for what memory cannot hold: its database, and its errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from tapedeck_common.files.errors import CannotSort

CACHE_KIB = 32_768


@contextmanager
def temporary_database() -> Iterator[sqlite3.Connection]:
    """A database that SQLite keeps in memory up to the cache's size, then in a temporary file.

    The file disappears with the connection, however the process ends. Raises CannotSort where there is no disk.
    """
    database = sqlite3.connect("", isolation_level=None)
    try:
        with no_space_as_error():
            database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            database.execute("PRAGMA journal_mode = OFF")
        yield database
    finally:
        database.close()


@contextmanager
def no_space_as_error() -> Iterator[None]:
    """Raise the error of a temporary disk as CannotSort. SQLite's errors are none of OSError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise CannotSort(f"the temporary disk cannot hold the rows to sort: {error}") from error
