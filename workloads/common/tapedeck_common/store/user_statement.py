"""A statement that a user wrote: what it begins with, how its values are read, where the database found an error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import Loader
from psycopg.types.string import TextLoader

READING = ("SELECT", "WITH", "VALUES", "TABLE")
_CURSOR = "statement"
_DECLARATION = f'DECLARE "{_CURSOR}" CURSOR FOR '  # as psycopg writes it: positions count from its start
_TIMES = ("timestamp", "date", "time", "timetz", "interval")  # their values may exceed those of Python's types
_SKIPPED = re.compile(r"(\s|\(|--[^\n]*(\n|$)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"\w*")


class ErrorPlace(NamedTuple):
    """Where an error is: line and column from 1, and the text of that line."""

    line: int
    column: int
    text: str


class _Rfc3339(Loader):
    """A timestamptz of a connection in UTC as RFC 3339 text; ``infinity`` and years B.C. stay PostgreSQL's own."""

    def load(self, data: Any) -> str:
        text = bytes(data).decode()
        return text[:-3].replace(" ", "T", 1) + "Z" if text.endswith("+00") else text


def statement_cursor(
    connection: psycopg.Connection[Any], *, declared: bool, as_text: Iterable[str] = ()
) -> psycopg.Cursor[Any]:
    """A cursor for a statement, of the server where it is declared there.

    It reads times, dates and the types ``as_text`` as texts; the connection's time zone is UTC.
    """
    cursor = connection.cursor(name=_CURSOR) if declared else connection.cursor()
    cursor.adapters.register_loader("timestamptz", _Rfc3339)
    for name in (*_TIMES, *as_text):
        cursor.adapters.register_loader(name, TextLoader)
    return cursor


def first_word(statement: str) -> str:
    """The first word of a statement in upper case, behind blanks, comments and parentheses."""
    skipped = _SKIPPED.match(statement)
    found = _WORD.match(statement, skipped.end() if skipped else 0)
    return found[0].upper() if found else ""


def error_place(error: psycopg.Error, statement: str, *, declared: bool) -> ErrorPlace | None:
    """Where the database found an error in a statement, if it told a place in it."""
    place = int(error.diag.statement_position or 0) - 1 - (len(_DECLARATION) if declared else 0)
    if not 0 <= place <= len(statement):
        return None
    start, end = statement.rfind("\n", 0, place) + 1, statement.find("\n", place)
    text = statement[start : end if end >= 0 else None]
    return ErrorPlace(statement.count("\n", 0, place) + 1, place - start + 1, text)
