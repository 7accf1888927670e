"""Dump and load of the deck's database by PostgreSQL's own programs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.postgres import Postgres
from tapedeck_deck.embedded.postgres_account import account, programs

# Offsets are those of one broker's topics: the recorder of another broker begins at the start of its topics.
OFFSETS = "kafka_offsets"
_STALL_SECONDS = 900.0  # while the server builds an index, the program itself does nothing
_LIMIT_SECONDS = 12 * 3600.0


def dump(postgres: Postgres, file: Path, pulse: Callable[[int], None]) -> None:
    """Write the store as of one moment into a file, without roles, rights and offsets.

    ``pulse`` is called with the bytes written so far. Raises DeckError.
    """
    options = ["--format=custom", "--compress=gzip:3", "--no-owner", "--no-privileges", "--lock-wait-timeout=60s"]
    options += [f"--exclude-table-data={OFFSETS}", f"--file={file}"]
    _run("the dump of the store", "pg_dump", [*options, postgres.dsn()], lambda: pulse(_size(file)))


def load(postgres: Postgres, file: Path, pulse: Callable[[int], None]) -> None:
    """Create the tables and rows of a dump in an empty database: all of them, or none. Raises DeckError."""
    options = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
    options += [f"--dbname={postgres.dsn()}", str(file)]
    _run("the restoration of the store", "pg_restore", options, lambda: pulse(_size(postgres.data / "base")))


def _run(name: str, program: str, arguments: list[str], pulse: Callable[[], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="tapedeck-") as folder:
        log = Path(folder) / "log"
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        process = processes.start([programs(account()) / program, *arguments], log=log, env=environment)
        if processes.wait_finished(name, process, log=log, stall=_STALL_SECONDS, limit=_LIMIT_SECONDS, pulse=pulse):
            raise DeckError(f"{name} failed: {processes.tail(log)}")


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else (path,)
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total
