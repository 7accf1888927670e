"""The schema that this version of Tapedeck knows, and the refusal of a store that has another one.

A program with another schema than its store's could write rows that lack columns, or read columns that mean something
else. Every connection to the store is therefore checked when it is opened. The store says which programs it suits: pods
that began before an upgrade go on after it, unless a migration changed what they use.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, sql

from tapedeck_common.version import VERSION
from tapedeck_crds.errors import EXIT_BAD_INPUT, Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"
OLDEST_PROGRAM = "0017"
"""The migration that a program must know to use this schema. One that removes or changes what earlier programs read, or
adds what they would have to write, raises it to its own number."""
_STORED = """
SELECT version_num, obj_description('public.alembic_version'::regclass, 'pg_class') FROM public.alembic_version
"""


class _Schema(NamedTuple):
    """The last migration of a store, empty for one without tables, and that of the oldest programs that it suits."""

    revision: str
    oldest_program: str


class SchemaMismatch(Unavailable):
    """The store has the schema of another version of Tapedeck."""


class NewerSchema(SchemaMismatch):
    """A later version of Tapedeck has migrated the store. Trying again cannot help."""

    exit_code = EXIT_BAD_INPUT
    reason = "NewerSchema"


class OlderSchema(SchemaMismatch):
    """This version of Tapedeck has not migrated the store yet."""

    reason = "OlderSchema"


@cache
def known_revisions() -> tuple[str, ...]:
    """The migrations of this version, newest first."""
    names = (path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    return tuple(sorted(names, reverse=True))


def stored_revision(connection: psycopg.Connection[Any]) -> str:
    """The last migration of a database; empty for one without Tapedeck's tables. Needs autocommit.

    Raises psycopg.Error, and OlderSchema where this role may not read it.
    """
    return _read(connection).revision


def check_not_newer(connection: psycopg.Connection[Any]) -> None:
    """Raises NewerSchema where a later version of Tapedeck has migrated the database. Needs autocommit."""
    found = stored_revision(connection)
    if found and found not in known_revisions():
        raise _newer(found)


def check_schema(connection: psycopg.Connection[Any]) -> None:
    """Raises NewerSchema or OlderSchema where this version cannot use the schema of the database. Needs autocommit."""
    _require_usable(_read(connection))


async def check_schema_async(connection: psycopg.AsyncConnection[Any]) -> None:
    """As ``check_schema``."""
    try:
        found = _schema(await (await connection.execute(_STORED)).fetchone())
    except psycopg.ProgrammingError as error:
        found = _unreadable(error)
    _require_usable(found)


def declare_oldest_program(connection: psycopg.Connection[Any]) -> None:
    """Write into the database which programs can use its schema, after this version has migrated it."""
    comment = sql.SQL("COMMENT ON TABLE public.alembic_version IS {}")
    connection.execute(comment.format(f"For programs that know the migration {OLDEST_PROGRAM}."))


def _read(connection: psycopg.Connection[Any]) -> _Schema:
    try:
        return _schema(connection.execute(_STORED).fetchone())
    except psycopg.ProgrammingError as error:
        return _unreadable(error)


def _unreadable(error: psycopg.ProgrammingError) -> _Schema:
    if isinstance(error, errors.UndefinedTable):
        return _schema(None)
    if isinstance(error, errors.InsufficientPrivilege):
        raise OlderSchema(_message("one that this role may not read", _UPGRADE)) from error
    raise error


def _schema(row: tuple[Any, ...] | None) -> _Schema:
    revision, comment = row or ("", "")
    declared = re.search(r"the migration (\d{4})", comment or "")
    return _Schema(str(revision), declared[1] if declared else str(revision))


def _require_usable(found: _Schema) -> None:
    newest = known_revisions()[0]
    if found.revision < newest:
        got = f"revision {found.revision}" if found.revision else "no tables"
        raise OlderSchema(_message(got, _UPGRADE))
    if found.oldest_program > newest:
        raise _newer(found.revision)


def _newer(revision: str) -> NewerSchema:
    return NewerSchema(_message(f"revision {revision}", _DOWNGRADE))


_DOWNGRADE = (
    "a later version of Tapedeck has migrated it. Use that version (a run keeps the images that it began with: create "
    "it again), or restore a backup from before the upgrade"
)
_UPGRADE = (
    "this version has not migrated it. The init container `migrate` of the recorder does that on a cluster, "
    "`tapedeck up` on a deck: look at their logs"
)


def _message(got: str, advice: str) -> str:
    expected = known_revisions()[0]
    return f"the schema of the store: got {got}, expected revision {expected} of Tapedeck {VERSION}: {advice}"
