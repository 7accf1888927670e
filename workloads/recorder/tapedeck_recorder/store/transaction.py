"""One batch, one transaction: rows, merged records and offsets together."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from psycopg import errors, sql
from psycopg.types.json import Jsonb

from tapedeck_common.records import RunEnded, RunStarted
from tapedeck_recorder import metrics
from tapedeck_recorder.rows.batch import Batch, Fault, Rows
from tapedeck_recorder.rows.tables import COPY_HEADER, COPY_TRAILER, Table
from tapedeck_recorder.store.catalogue import write_catalogue
from tapedeck_recorder.store.offsets import Offsets

Cursor = psycopg.Cursor[Any]

# What the data is to blame for, not the database's state: trying again can't help.
BAD_DATA = (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex)


def write(connection: psycopg.Connection[Any], batch: Batch, offsets: Offsets) -> None:
    """Write it all or nothing. Raises Fenced and psycopg.Error, one of BAD_DATA where a row can't be kept."""
    with connection.transaction(), connection.cursor() as cursor:
        offsets.advance(cursor, batch.next_offsets)
        for table, rows in (*batch.rows.items(), *_unfinished(cursor, batch).items()):
            _write_rows(connection, cursor, table, rows)
        _write_runs(cursor, batch)
        _write_ingest(cursor, batch)
        write_catalogue(cursor, batch)


def _unfinished(cursor: Cursor, batch: Batch) -> dict[Table, Rows]:
    """The rows of runs that were not over before this batch: one that is stays as it is, whatever comes later."""
    if not batch.of_runs:
        return {}
    query = "SELECT run_id FROM runs WHERE run_id = ANY(%s) AND state <> 'running'"
    over = {row[0] for row in cursor.execute(query, (list(batch.of_runs),)).fetchall()}
    found: dict[Table, Rows] = defaultdict(Rows)
    for run_id, tables in batch.of_runs.items():
        if run_id not in over:
            for table, rows in tables.items():
                found[table].add_all(rows)
    return found


def _write_rows(connection: psycopg.Connection[Any], cursor: Cursor, table: Table, rows: Rows) -> None:
    try:
        with connection.transaction():  # a savepoint
            _copy(cursor, sql.Identifier(table.name), table, rows)
    except errors.UniqueViolation:
        metrics.CONFLICTS.labels(table.name).inc()
        _merge(cursor, table, rows)


def _copy(cursor: Cursor, target: sql.Identifier, table: Table, rows: Rows) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(target, columns)) as copy:
        copy.write(b"".join((COPY_HEADER, *rows.parts, COPY_TRAILER)))


def _merge(cursor: Cursor, table: Table, rows: Rows) -> None:
    stage = sql.Identifier(f"stage_{table.name}")
    name = sql.Identifier(table.name)
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    cursor.execute(
        sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(stage, name)
    )
    _copy(cursor, stage, table, rows)
    cursor.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT {}").format(
            name, columns, columns, stage, sql.SQL(table.merge)
        )
    )


def _write_runs(cursor: Cursor, batch: Batch) -> None:
    if batch.started:
        cursor.executemany(
            """INSERT INTO runs (run_id, name, namespace, strategy, params, spec, exchange, symbols, interval,
                                  replay_uid, cash, started_at, trials)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
            [_started(run) for run in batch.started],
        )
    if batch.ended:  # a run that is over stays as it ended
        cursor.executemany(
            """UPDATE runs SET state = %s, message = %s, bars = %s, metrics = %s, trades_hash = %s, ended_at = %s,
                               drawdowns = %s, periods = %s
            WHERE run_id = %s AND state = 'running'""",
            [_ended(run) for run in batch.ended],
        )
        if cursor.rowcount < len(batch.ended):
            _check_known(cursor, [run.run_id for run in batch.ended])
    if batch.tried:  # a sweep is over with its last trial, whichever pod made it
        cursor.execute(
            """UPDATE runs SET state = 'complete', ended_at = now()
            WHERE run_id = ANY(%s) AND state = 'running' AND trials > 0
              AND trials <= (SELECT count(*) FROM run_trials WHERE run_trials.run_id = runs.run_id)""",
            (list(batch.tried),),
        )


def _check_known(cursor: Cursor, run_ids: list[str]) -> None:
    rows = cursor.execute("SELECT run_id FROM runs WHERE run_id = ANY(%s)", (run_ids,)).fetchall()
    if unknown := set(run_ids) - {row[0] for row in rows}:
        raise psycopg.DataError(f"run_id: got the end of {min(unknown)!r}, expected a run that has started")


def _started(run: RunStarted) -> tuple[Any, ...]:
    return (
        run.run_id, run.name, run.namespace, run.strategy, bytes(run.params).decode(), bytes(run.spec).decode(),
        run.exchange, run.symbols, run.interval, run.replay_uid, run.cash, _moment(run.started_at), run.trials,
    )  # fmt: skip


def _ended(run: RunEnded) -> tuple[Any, ...]:
    return (
        run.state, run.message, run.bars, Jsonb(run.metrics), run.trades_hash, _moment(run.ended_at),
        Jsonb(msgspec.to_builtins(run.drawdowns)), Jsonb(msgspec.to_builtins(run.periods)), run.run_id,
    )  # fmt: skip


def _write_ingest(cursor: Cursor, batch: Batch) -> None:
    if batch.faults:
        cursor.executemany(
            """INSERT INTO ingest_errors (topic, partition, "offset", at, reason, payload, feed, exchange, symbol,
                                           place)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
            [_fault(fault) for fault in batch.faults],
        )
    if batch.gaps:
        cursor.executemany(
            """INSERT INTO gaps (exchange, symbol, interval, start_ts, end_ts, state)
            VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (exchange, symbol, interval, start_ts)
            DO UPDATE SET end_ts = EXCLUDED.end_ts, state = EXCLUDED.state""",
            [(g.exchange, g.symbol, g.interval, _moment(g.start), _moment(g.end), g.state) for g in batch.gaps],
        )


def _fault(f: Fault) -> tuple[Any, ...]:
    return (
        f.topic, f.partition, f.offset, _moment(f.at), f.reason, f.payload, f.feed, f.exchange, f.symbol, f.place,
    )  # fmt: skip


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
