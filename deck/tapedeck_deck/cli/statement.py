"""A statement of the user on the store: read-only, its rows in batches, its errors with their position."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import psycopg
from psycopg.adapt import Loader
from psycopg.types.string import TextLoader

from tapedeck_deck.cli.store_query import snapshot
from tapedeck_deck.embedded.errors import DeckError

BATCH_ROWS = 1_000
_CURSOR = "statement"
_DECLARATION = f'DECLARE "{_CURSOR}" CURSOR FOR '  # as psycopg writes it: positions count from its start
_READING = ("SELECT", "WITH", "VALUES", "TABLE")
_WITHOUT_CURSOR = ("EXPLAIN", "SHOW")
_SKIPPED = re.compile(r"(\s|\(|--[^\n]*(\n|$)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"\w*")
_AS_TEXT = ("timestamp", "date", "time", "timetz", "interval")  # their values may exceed those of Python's types

Rows: TypeAlias = list[tuple[Any, ...]]


class StatementResult(NamedTuple):
    """The names of the columns, and the rows in batches of at most BATCH_ROWS."""

    columns: list[str]
    batches: Iterator[Rows]


class _Rfc3339(Loader):
    """A timestamptz of a connection in UTC as RFC 3339 text; ``infinity`` and years B.C. stay Postgres' own."""

    def load(self, data: Any) -> str:
        text = bytes(data).decode()
        return text[:-3].replace(" ", "T", 1) + "Z" if text.endswith("+00") else text


@contextmanager
def running(dsn: str, statement: str) -> Iterator[StatementResult]:
    """Run a statement that reads, in a read-only transaction, by a cursor of the server where it can have one.

    Raises DeckError for what the database refuses, also while the rows are read.
    """
    word = first_word(statement)
    if word not in (*_READING, *_WITHOUT_CURSOR):
        expected = ", ".join((*_READING, *_WITHOUT_CURSOR[:-1]))
        raise DeckError(
            f"statement: got {word or 'nothing'}, expected {expected} or {_WITHOUT_CURSOR[-1]}: it only reads"
        )
    declared = word in _READING
    text = _encoded(statement)
    try:
        with snapshot(dsn) as connection, _cursor(connection, declared) as cursor:
            _execute(cursor, text, declared)
            yield StatementResult([column.name for column in cursor.description or ()], _batches(cursor))
    except psycopg.Error as error:
        raise DeckError(error_text(error, statement, len(_DECLARATION) if declared else 0)) from error


def first_word(statement: str) -> str:
    """The first word of a statement in upper case, behind blanks, comments and parentheses."""
    skipped = _SKIPPED.match(statement)
    found = _WORD.match(statement, skipped.end() if skipped else 0)
    return found[0].upper() if found else ""


def error_text(error: psycopg.Error, statement: str, before: int = 0) -> str:
    """The database's message, with the line of the statement and a mark below the place where it found the error.

    ``before`` is the number of characters that the database received before the statement.
    """
    said = error.diag
    if said.message_primary is None:
        return f"store: {error}; `tapedeck status` shows whether the database runs"
    lines = [f"statement: {said.message_primary}"]
    place = int(said.statement_position or 0) - 1 - before
    if 0 <= place <= len(statement):
        start = statement.rfind("\n", 0, place) + 1
        end = statement.find("\n", place)
        number = statement.count("\n", 0, place) + 1
        lines[0] += f", at line {number}, column {place - start + 1}:"
        lines += [statement[start : end if end >= 0 else None], " " * (place - start) + "^"]
    lines += [
        f"{name}: {text}" for name, text in (("detail", said.message_detail), ("hint", said.message_hint)) if text
    ]
    return "\n".join(lines)


def require_distinct(columns: list[str]) -> None:
    """Raises DeckError where two columns share a name, of which a JSON object could hold one only."""
    doubled = [name for name, count in Counter(columns).items() if count > 1]
    if doubled:
        raise DeckError(f"statement: got the column {doubled[0]} twice, expected distinct names; name them with AS")


def _cursor(connection: psycopg.Connection[Any], declared: bool) -> psycopg.Cursor[Any]:
    cursor = connection.cursor(name=_CURSOR) if declared else connection.cursor()
    cursor.adapters.register_loader("timestamptz", _Rfc3339)
    for name in _AS_TEXT:
        cursor.adapters.register_loader(name, TextLoader)
    return cursor


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
