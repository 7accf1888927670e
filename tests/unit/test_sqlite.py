"""A database file that several connections use, of this process and of others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tapedeck_deck.embedded.private_files import create_private
from tapedeck_deck.embedded.sqlite import Database

MIGRATIONS = ("CREATE TABLE numbers (number INTEGER NOT NULL)",)
# As a deck that ends: the last one that uses a file removes SQLite's write-ahead log.
OF_ANOTHER_PROCESS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("INSERT INTO numbers VALUES (2)")
connection.commit()
connection.close()
"""


def insert(database: Database, number: int) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))


def test_a_second_connection_leaves_the_locks_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "numbers.db"
    first = Database(path, MIGRATIONS)
    insert(first, 1)
    Database(path, MIGRATIONS).close()
    subprocess.run([sys.executable, "-c", OF_ANOTHER_PROCESS, path], check=True, timeout=60)
    assert path.with_name("numbers.db-wal").exists(), "another process took itself for the last one"
    insert(first, 3)
    second = Database(path, MIGRATIONS)
    assert [row["number"] for row in second.read("SELECT number FROM numbers ORDER BY 1")] == [1, 2, 3]
    assert second.read("PRAGMA integrity_check")[0][0] == "ok"
    first.close()
    second.close()


def test_a_file_is_created_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "made"
    assert create_private(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("kept")
    assert not create_private(path)
    assert [each.name for each in tmp_path.iterdir()] == ["made"]
    assert path.read_text() == "kept"
