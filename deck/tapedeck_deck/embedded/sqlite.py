"""One SQLite file that several processes and threads read and write at once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import create_private

BUSY_SECONDS = 20.0  # SQLite has no queue of writers: on a busy machine some wait long


class Database:
    """A connection that threads share under a lock. SQLite's own lock serialises the writes of several processes.

    ``migrations`` are the scripts that lead from an empty file to the present schema: their number is its version,
    which the file keeps. Raises DeckError where the file is of a newer version or cannot be read; so does every use.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        self._on_commit: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self._depth = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._deck_errors():
            create_private(path)  # SQLite's other files get the mode of this one
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._switch_to_wal()
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate(migrations)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def read(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """The rows of one query."""
        with self._lock, self._deck_errors():
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """An exclusive write transaction, rolled back if the block raises. A nested one is part of the outer one."""
        with self._lock, self._deck_errors():
            if self._depth:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1
        self._on_commit()

    def copy_to(self, path: Path) -> None:
        """Write the content as of one moment into a new file, which only its owner can read."""
        with self._lock, self._deck_errors():
            if not create_private(path):
                raise DeckError(f"{path}: the file exists; expected the path of a new one")
            copy = sqlite3.connect(path)
            try:
                self._connection.backup(copy)
            finally:
                copy.close()

    def compact(self) -> None:
        """Write the file again without the remains of deleted rows."""
        with self._lock, self._deck_errors():
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def on_commit(self, notify: Callable[[], None]) -> None:
        """Call ``notify`` after each transaction of this connection, in the thread that committed it: one function."""
        self._on_commit = notify

    def _switch_to_wal(self) -> None:
        def switched() -> bool:
            try:
                return bool(self._connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal")
            except sqlite3.OperationalError:  # another process creates it; no busy timeout applies here
                return False

        if not processes.wait_until(switched, timeout=BUSY_SECONDS):
            self._connection.execute("PRAGMA journal_mode = WAL")

    def _migrate(self, migrations: Sequence[str]) -> None:
        with self.transaction() as connection:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            unversioned = found == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            if unversioned or found > len(migrations):
                raise DeckError(
                    f"{self.path}: got schema version {found}, expected {len(migrations)}; "
                    "use the version of Tapedeck that wrote it, or move the file away"
                )
            for script in migrations[found:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            if found < len(migrations):
                connection.execute(f"PRAGMA user_version = {len(migrations)}")

    @contextmanager
    def _deck_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise DeckError(f"{self.path}: {error}") from error
