"""Connections and questions of commands to the deck's database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from tapedeck_common.store.schema_version import check_schema
from tapedeck_crds.text import quoted
from tapedeck_deck.cli.context import NOT_RUNNING
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

APPLICATION_NAME = "tapedeck-cli"
CONNECT_SECONDS = 10


def reader_dsn(home: StateDir) -> str:
    """The DSN of the role that may read the store of a running deck. Raises DeckError."""
    facts = home.running()
    if facts is None:
        raise DeckError(NOT_RUNNING)
    return str(facts["dsn"])


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise the database's errors as DeckError, and that of an option which is no text in UTF-8."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise DeckError(f"options: got {quoted(error.object)}, expected text in UTF-8") from error
    except psycopg.Error as error:
        raise DeckError(f"store: {error}; `tapedeck status` shows whether the database runs") from error


def connect(dsn: str) -> psycopg.Connection[Any]:
    """A connection with texts in UTF-8 and times in UTC.

    Raises psycopg.OperationalError, and SchemaMismatch where the store is that of another version of Tapedeck.
    """
    connection = psycopg.connect(
        dsn,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        application_name=APPLICATION_NAME,
        client_encoding="UTF8",
        options="-c timezone=UTC",
    )
    try:
        check_schema(connection)
    except BaseException:
        connection.close()
        raise
    connection.autocommit = False
    return connection


@contextmanager
def snapshot(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that sees the store as of one moment and cannot change it. Raises psycopg.Error."""
    with connect(dsn) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection


def rows_of(dsn: str, query: LiteralString, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """The rows that a query returns. Raises DeckError."""
    with store_errors(), connect(dsn) as connection:
        return connection.execute(query, parameters).fetchall()
