"""Writing rows into their tables: COPY where their keys are new, otherwise INSERT by way of a staging table.

Rows that lose against stored ones are left out before the INSERT where many do: ON CONFLICT locks the stored row, which
writes to it, so importing the same files again would write every row. Where most rows win, looking each up before is
the slower way. Which of the three it is, is guessed from the rows before.
"""

from __future__ import annotations

from typing import Any, Literal, LiteralString, TypeAlias

import psycopg
from psycopg import errors, sql

from tapedeck_recorder import metrics
from tapedeck_recorder.rows.batch import CopyBuffer
from tapedeck_recorder.rows.tables import COPY_HEADER, COPY_TRAILER, TargetTable

Cursor: TypeAlias = psycopg.Cursor[Any]
Found: TypeAlias = Literal["new", "equal", "changed"]
"""What most rows were: of new keys, or of stored ones that stayed, or that were replaced."""


class RowMerger:
    """Writes rows in the caller's transaction."""

    def __init__(self) -> None:
        self._expected: dict[str, Found] = {}

    def write(self, cursor: Cursor, table: TargetTable, buffer: CopyBuffer) -> None:
        """Write the rows whose keys are new, or that win against the stored ones. Raises psycopg.Error."""
        expected = self._expected.get(table.name, "new")
        if expected == "new" and copy_new(cursor, table, buffer):
            return
        found = merge(cursor, table, buffer, compare=expected != "changed")
        if found != "new":
            metrics.CONFLICTS.labels(table.name).inc()
        self._expected[table.name] = found


def copy_new(cursor: Cursor, table: TargetTable, buffer: CopyBuffer) -> bool:
    """Whether COPY into the table succeeded; otherwise a key is stored, and nothing was written."""
    try:
        with cursor.connection.transaction():  # a savepoint
            _copy(cursor, sql.Identifier(table.name), table, buffer)
    except errors.UniqueViolation:
        return False
    return True


def merge(cursor: Cursor, table: TargetTable, buffer: CopyBuffer, *, compare: bool) -> Found:
    """INSERT … ON CONFLICT from a staging table; with ``compare`` only the rows that are new or win.

    Returns what most rows were. Raises psycopg.Error.
    """
    staging = sql.Identifier(f"stage_{table.name}")
    create = "CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS"
    cursor.execute(sql.SQL(create).format(staging, sql.Identifier(table.name)))
    _copy(cursor, staging, table, buffer)
    if not table.wins:
        written = cursor.execute(_insert(table, staging) + sql.SQL(" ON CONFLICT DO NOTHING")).rowcount
        return "equal" if written < buffer.count else "new"
    stored = _stored(cursor, table, staging)
    met = cursor.execute(
        sql.SQL("SELECT FROM {} AS new WHERE {} LIMIT 1").format(staging, _of_stored("true", table, stored))
    ).rowcount
    insert = _insert(table, staging)
    if compare:
        insert += sql.SQL(" WHERE coalesce({}, true)").format(_of_stored(table.wins, table, stored))
    written = cursor.execute(insert + _on_conflict(table)).rowcount
    if not met:
        return "new"
    return "changed" if written * 2 > buffer.count else "equal"


def _insert(table: TargetTable, staging: sql.Identifier) -> sql.Composed:
    columns = _columns(table)
    return sql.SQL("INSERT INTO {} AS old ({}) SELECT {} FROM {} AS new").format(
        sql.Identifier(table.name), columns, columns, staging
    )


def _stored(cursor: Cursor, table: TargetTable, staging: sql.Identifier) -> sql.Composed:
    """The condition for the stored row ``old`` of ``new``'s key.

    It names the range of times, by which the planner of a hypertable leaves out all other chunks.
    """
    ((first, last),) = cursor.execute(sql.SQL("SELECT min(ts), max(ts) FROM {}").format(staging)).fetchall()
    same = [sql.SQL("old.{0} = new.{0}").format(sql.Identifier(column)) for column in table.key]
    return sql.SQL("old.ts BETWEEN {} AND {} AND ").format(sql.Literal(first), sql.Literal(last)) + sql.SQL(
        " AND "
    ).join(same)


def _on_conflict(table: TargetTable) -> sql.Composed:
    """For rows that another recorder stores at the same time, and for those that win."""
    others = [column for column in table.columns if column not in table.key]
    changes = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(column)) for column in others]
    return sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {} WHERE {}").format(
        sql.SQL(", ").join(map(sql.Identifier, table.key)),
        sql.SQL(", ").join(changes),
        sql.SQL(table.wins.replace("new.", "EXCLUDED.")),
    )


def _of_stored(value: LiteralString, table: TargetTable, stored: sql.Composed) -> sql.Composed:
    """``value`` of the stored row, null where there is none. A subquery in an expression is no join: the planner knows
    nothing of the staging table, and would read the whole table for one.
    """
    return sql.SQL("(SELECT {} FROM {} AS old WHERE {})").format(sql.SQL(value), sql.Identifier(table.name), stored)


def _columns(table: TargetTable) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, table.columns))


def _copy(cursor: Cursor, target: sql.Identifier, table: TargetTable, buffer: CopyBuffer) -> None:
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(target, _columns(table))) as copy:
        copy.write(b"".join((COPY_HEADER, *buffer.chunks, COPY_TRAILER)))
