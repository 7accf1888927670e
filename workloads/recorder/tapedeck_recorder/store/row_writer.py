"""Writing rows into their tables: COPY where their keys are new, and a comparison where some are stored.

A row that loses against the stored one is left out before the INSERT: ON CONFLICT would lock the stored row, which
writes to it. Reading the same files again so writes nothing.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import psycopg
from psycopg import errors, sql

from tapedeck_recorder import metrics
from tapedeck_recorder.rows.batch import CopyBuffer
from tapedeck_recorder.rows.tables import COPY_HEADER, COPY_TRAILER, TargetTable

Cursor: TypeAlias = psycopg.Cursor[Any]


class RowWriter:
    """Writes rows in the caller's transaction. What it remembers is only a guess of what the next rows meet."""

    def __init__(self) -> None:
        self._compared: set[str] = set()  # tables whose last rows had stored ones of their keys

    def write(self, cursor: Cursor, table: TargetTable, buffer: CopyBuffer) -> None:
        """COPY into the table, or compare with what is stored. Raises psycopg.Error."""
        if table.name not in self._compared and _copy_new(cursor, table, buffer):
            return
        if _compare(cursor, table, buffer):
            metrics.CONFLICTS.labels(table.name).inc()
            self._compared.add(table.name)
        else:
            self._compared.discard(table.name)


def _copy_new(cursor: Cursor, table: TargetTable, buffer: CopyBuffer) -> bool:
    """Whether COPY into the table succeeded; otherwise a key is stored, and nothing was written."""
    try:
        with cursor.connection.transaction():  # a savepoint
            _copy(cursor, sql.Identifier(table.name), table, buffer)
    except errors.UniqueViolation:
        return False
    return True


def _compare(cursor: Cursor, table: TargetTable, buffer: CopyBuffer) -> bool:
    """Write the rows that win, by way of a staging table. Returns whether any row of the same key was stored."""
    staging = sql.Identifier(f"stage_{table.name}")
    create = "CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS"
    cursor.execute(sql.SQL(create).format(staging, sql.Identifier(table.name)))
    _copy(cursor, staging, table, buffer)
    if not table.wins:
        return cursor.execute(_insert(table, staging) + sql.SQL(" ON CONFLICT DO NOTHING")).rowcount < buffer.count
    stored = _stored(cursor, table, staging)
    ((met,),) = cursor.execute(
        sql.SQL("SELECT EXISTS (SELECT FROM {} AS new JOIN {} ON {})").format(staging, _old(table), stored)
    ).fetchall()
    losers = sql.SQL(" AS new WHERE NOT EXISTS (SELECT FROM {} WHERE {} AND NOT ({}))").format(
        _old(table), stored, sql.SQL(table.wins)
    )
    cursor.execute(_insert(table, staging) + losers + _on_conflict(table))
    return bool(met)


def _insert(table: TargetTable, staging: sql.Identifier) -> sql.Composed:
    columns = _columns(table)
    return sql.SQL("INSERT INTO {} AS old ({}) SELECT {} FROM {}").format(
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


def _old(table: TargetTable) -> sql.Composed:
    return sql.SQL("{} AS old").format(sql.Identifier(table.name))


def _columns(table: TargetTable) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, table.columns))


def _copy(cursor: Cursor, target: sql.Identifier, table: TargetTable, buffer: CopyBuffer) -> None:
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(target, _columns(table))) as copy:
        copy.write(b"".join((COPY_HEADER, *buffer.chunks, COPY_TRAILER)))
