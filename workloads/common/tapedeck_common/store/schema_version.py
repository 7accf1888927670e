"""The schema that this version of Tapedeck knows, and the refusal of a store that has another one.

A program with another schema than its store's would write rows that lack columns, or read columns that mean something
else. Every connection to the store is therefore checked when it is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from psycopg import errors

from tapedeck_common.version import VERSION
from tapedeck_crds.errors import EXIT_BAD_INPUT, Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"
_STORED = "SELECT version_num FROM public.alembic_version"
_Row: TypeAlias = tuple[Any, ...] | None


class SchemaMismatch(Unavailable):
    """The store has the schema of another version of Tapedeck."""


class NewerSchema(SchemaMismatch):
    """A later version of Tapedeck has migrated the store. Trying again cannot help."""

    exit_code = EXIT_BAD_INPUT
    reason = "NewerSchema"


class OlderSchema(SchemaMismatch):
    """This version of Tapedeck has not migrated the store yet."""

    reason = "OlderSchema"


def known_revisions() -> list[str]:
    """The migrations of this version, newest first."""
    return sorted((path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")), reverse=True)


def stored_revision(connection: psycopg.Connection[Any]) -> str:
    """The last migration of a database; empty for one without Tapedeck's tables. Needs autocommit.

    Raises psycopg.Error, and OlderSchema where this role may not read it.
    """
    try:
        return _revision(connection.execute(_STORED).fetchone())
    except psycopg.ProgrammingError as error:
        return _unreadable(error)


def check_not_newer(connection: psycopg.Connection[Any]) -> None:
    """Raises NewerSchema where a later version of Tapedeck has migrated the database. Needs autocommit."""
    _require_known(stored_revision(connection))


def check_schema(connection: psycopg.Connection[Any]) -> None:
    """Raises NewerSchema or OlderSchema where the database has not the schema of this version. Needs autocommit."""
    _require_newest(stored_revision(connection))


async def check_schema_async(connection: psycopg.AsyncConnection[Any]) -> None:
    """As ``check_schema``."""
    try:
        found = _revision(await (await connection.execute(_STORED)).fetchone())
    except psycopg.ProgrammingError as error:
        found = _unreadable(error)
    _require_newest(found)


def _unreadable(error: psycopg.ProgrammingError) -> str:
    if isinstance(error, errors.UndefinedTable):
        return ""
    if isinstance(error, errors.InsufficientPrivilege):
        raise OlderSchema(_message("one that this role may not read", _UPGRADE)) from error
    raise error


def _revision(row: _Row) -> str:
    return str(row[0]) if row else ""


def _require_known(found: str) -> None:
    if found and found not in known_revisions():
        raise NewerSchema(_message(f"revision {found}", _DOWNGRADE))


def _require_newest(found: str) -> None:
    _require_known(found)
    if found != known_revisions()[0]:
        raise OlderSchema(_message(f"revision {found}" if found else "no tables", _UPGRADE))


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
