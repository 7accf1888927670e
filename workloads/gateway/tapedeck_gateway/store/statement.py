"""A statement of a user on the store: read-only, on a connection of its own, with limits of time and rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import psycopg
from psycopg import sql

from tapedeck_common.store.database import connect
from tapedeck_common.store.user_statement import READING, error_place, first_word, statement_cursor
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.store.errors import DATABASE_ERRORS, unavailable
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.store.refused_functions import refuse_functions

Kind: TypeAlias = Literal["integer", "float", "boolean", "timestamptz", "timestamp", "date", "text"]
"""What the values of a column are. Times and dates are texts, since PostgreSQL's reach further than Python's."""
Cut: TypeAlias = Literal["", "rows", "bytes"]
"""Which limit cut rows off a result: that of its rows, or RESULT_BYTES; empty where all are there."""

APPLICATION_NAME = "tapedeck-gateway-sql"
BATCH_ROWS = 100
RESULT_BYTES = 16 * 1024 * 1024  # what one answer may hold in memory
_AS_TEXT = ("numeric", "bytea")  # their values may exceed those of JSON's and Python's types
_KINDS: dict[str, Kind] = {
    "int2": "integer", "int4": "integer", "int8": "integer", "float4": "float", "float8": "float", "bool": "boolean",
    "timestamptz": "timestamptz", "timestamp": "timestamp", "date": "date",
}  # fmt: skip


class ResultColumn(NamedTuple):
    """A column of a result, with its type in Postgres."""

    name: str
    type_name: str

    @property
    def kind(self) -> Kind:
        """The kind of its values as ``StatementRows`` has them."""
        return _KINDS.get(self.type_name, "text")


class StatementRows(NamedTuple):
    """The rows of a statement: numbers, booleans, texts, and for JSON what it holds.

    A ``timestamptz`` is RFC 3339 in UTC, a ``numeric`` has all of its digits, other types are as PostgreSQL writes
    them.
    """

    columns: list[ResultColumn]
    rows: list[list[Any]]
    cut: Cut


def run_statement(pool: Pool, statement: str, limit: int) -> StatementRows:
    """At most ``limit`` rows of a statement that reads, and at most RESULT_BYTES of them.

    Its connection is closed at the end, so that it leaves no setting and no lock. Raises InvalidInput for what the
    database refuses, QueryTooSlow and Unavailable.
    """
    word = first_word(statement)
    if word not in READING:
        raise InvalidInput(f"query: got {word or 'nothing'}, expected {', '.join(READING)}: it only reads")
    if "\x00" in statement:
        raise InvalidInput("query: got NUL, expected text without it")
    refuse_functions(statement)
    try:
        with _read_only(pool) as cursor:
            deadline = _Deadline(cursor, pool.query_seconds)
            deadline.arm()
            cursor.execute(statement.encode("utf-8", "strict"))
            described = cursor.description or ()
            columns = [ResultColumn(column.name, _type_name(cursor, column.type_code)) for column in described]
            return StatementRows(columns, *_rows(cursor, limit, deadline))
    except DATABASE_ERRORS as error:
        raise unavailable(error, query_seconds=pool.query_seconds, database_answers=True) from error
    except (psycopg.Error, UnicodeError) as error:
        raise InvalidInput(_error_text(error, statement)) from None


def _error_text(error: Exception, statement: str) -> str:
    """What the database says of a statement, with the place where it found the error."""
    if not isinstance(error, psycopg.Error) or error.diag.message_primary is None:
        return f"query: {str(error)[:500]}"
    found = error_place(error, statement, declared=True)
    place = f", at line {found.line}, column {found.column}" if found else ""
    hint = f"; {error.diag.message_hint}" if error.diag.message_hint else ""
    return f"query: {error.diag.message_primary[:500]}{place}{hint[:500]}"


@contextmanager
def _read_only(pool: Pool) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor of a connection beside the pool's, which ends with it."""
    with connect(pool.connections, name=APPLICATION_NAME) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.autocommit = False
        connection.read_only = True
        try:
            yield statement_cursor(connection, declared=True, as_text=_AS_TEXT)
        finally:
            connection.rollback()


class _Deadline:
    """The end of a statement's time, over all that it takes to run it: it may itself set the database's limit."""

    def __init__(self, cursor: psycopg.Cursor[Any], seconds: float) -> None:
        self._connection = cursor.connection
        self._ends = time.monotonic() + seconds

    def arm(self) -> None:
        """Limit what the database does next by the time that is left."""
        left = max(1, round((self._ends - time.monotonic()) * 1_000))
        self._connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(left)))


@dataclass
class _Room:
    """How much of RESULT_BYTES the rows of a result take."""

    taken: int = 0
    longest: int = field(default=0, init=False)

    def take(self, size: int) -> bool:
        """Take room for a row of so many bytes; returns whether there was any."""
        if self.taken + size > RESULT_BYTES:
            return False
        self.taken += size
        self.longest = max(self.longest, size)
        return True

    @property
    def rows_at_once(self) -> int:
        """How many rows to ask for: as many as have room, if they are as long as the longest so far."""
        return max(1, min(BATCH_ROWS, (RESULT_BYTES - self.taken) // self.longest)) if self.longest else 1


def _rows(cursor: psycopg.Cursor[Any], limit: int, deadline: _Deadline) -> tuple[list[list[Any]], Cut]:
    found: list[list[Any]] = []
    room = _Room()
    while True:
        deadline.arm()
        rows = cursor.fetchmany(min(room.rows_at_once, limit + 1 - len(found)))
        if not rows:
            return found, ""
        for row in rows:
            if len(found) == limit:
                return found, "rows"
            values = [plain_value(value) for value in row]
            if room.take(value_bytes(values)):
                found.append(values)
            elif found:
                return found, "bytes"
            else:
                raise InvalidInput(
                    f"query: got a row of more than {RESULT_BYTES >> 20} MiB, expected smaller ones: select fewer "
                    "columns, or parts of their values"
                )


def value_bytes(value: Any) -> int:
    """About the memory that a value takes which ``plain_value`` returned."""
    match value:
        case str():
            return 50 + len(value)
        case list():
            return 56 + sum(8 + value_bytes(each) for each in value)
        case dict():
            return 64 + sum(16 + value_bytes(name) + value_bytes(each) for name, each in value.items())
        case _:
            return 32


def plain_value(value: Any) -> Any:
    """A value as JSON can hold it: types that it does not have as text. It writes NaN and the infinities as null."""
    if isinstance(value, list):
        return [plain_value(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain_value(each) for key, each in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _type_name(cursor: psycopg.Cursor[Any], oid: int) -> str:
    found = cursor.adapters.types.get(oid)
    if found is None:
        return "text"
    return f"{found.name}[]" if oid == found.array_oid else str(found.name)
