"""A statement of the user on the store: read-only, its rows in batches, its errors with their position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import psycopg

from tapedeck_common.store.user_statement import READING, error_place, first_word, statement_cursor
from tapedeck_deck.cli.store_query import snapshot
from tapedeck_deck.embedded.errors import DeckError

BATCH_ROWS = 1_000
_WITHOUT_CURSOR = ("EXPLAIN", "SHOW")

Rows: TypeAlias = list[tuple[Any, ...]]


class StatementResult(NamedTuple):
    """The names of the columns, and the rows in batches of at most BATCH_ROWS."""

    columns: list[str]
    batches: Iterator[Rows]


@contextmanager
def running(dsn: str, statement: str) -> Iterator[StatementResult]:
    """Run a statement that reads, in a read-only transaction, by a cursor of the server where it can have one.

    Raises DeckError for what the database refuses, also while the rows are read.
    """
    word = first_word(statement)
    if word not in (*READING, *_WITHOUT_CURSOR):
        expected = ", ".join((*READING, *_WITHOUT_CURSOR[:-1]))
        raise DeckError(
            f"statement: got {word or 'nothing'}, expected {expected} or {_WITHOUT_CURSOR[-1]}: it only reads"
        )
    declared = word in READING
    text = _encoded(statement)
    try:
        with snapshot(dsn) as connection, statement_cursor(connection, declared=declared) as cursor:
            _execute(cursor, text, declared)
            yield StatementResult([column.name for column in cursor.description or ()], _batches(cursor))
    except psycopg.Error as error:
        raise DeckError(_error_text(error, statement, declared)) from error


def _error_text(error: psycopg.Error, statement: str, declared: bool) -> str:
    """The database's message, with the line of the statement and a mark below the place where it found the error."""
    said = error.diag
    if said.message_primary is None:
        return f"store: {error}; `tapedeck status` shows whether the database runs"
    lines = [f"statement: {said.message_primary}"]
    if place := error_place(error, statement, declared=declared):
        lines[0] += f", at line {place.line}, column {place.column}:"
        lines += [place.text, " " * (place.column - 1) + "^"]
    lines += [
        f"{name}: {text}" for name, text in (("detail", said.message_detail), ("hint", said.message_hint)) if text
    ]
    return "\n".join(lines)


def require_distinct(columns: list[str]) -> None:
    """Raises DeckError where two columns share a name, of which a JSON object could hold one only."""
    doubled = [name for name, count in Counter(columns).items() if count > 1]
    if doubled:
        raise DeckError(f"statement: got the column {doubled[0]} twice, expected distinct names; name them with AS")


def _encoded(statement: str) -> bytes:
    """The statement for the database, which would end it at a NUL. Raises DeckError."""
    try:
        text = statement.encode()
    except UnicodeEncodeError:
        text = b"\0"
    if b"\0" in text:
        raise DeckError("statement: got a NUL or bytes that are not UTF-8, expected text")
    return text


def _execute(cursor: psycopg.Cursor[Any], statement: bytes, declared: bool) -> None:
    """By the extended protocol, which takes one statement alone."""
    if declared:
        cursor.execute(statement)
    else:
        cursor.execute(statement, prepare=True)


def _batches(cursor: psycopg.Cursor[Any]) -> Iterator[Rows]:
    while cursor.description and (rows := cursor.fetchmany(BATCH_ROWS)):
        yield rows
