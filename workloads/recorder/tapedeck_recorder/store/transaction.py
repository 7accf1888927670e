"""One batch, one transaction: rows, run updates, ingest records, catalogue and offsets are committed together."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb

from tapedeck_common.records import Gap, RunEnded, RunStarted
from tapedeck_recorder.rows.batch import Batch, CopyBuffer, IngestErrorRow
from tapedeck_recorder.rows.tables import TargetTable
from tapedeck_recorder.store.bar_writer import BarWriter
from tapedeck_recorder.store.catalogue import upsert_catalogue
from tapedeck_recorder.store.offsets import StoredOffsets
from tapedeck_recorder.store.row_merger import RowMerger

Cursor: TypeAlias = psycopg.Cursor[Any]

# Errors that the rows cause, whatever state the database is in: a retry can't help.
REJECTED_DATA = (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex)


def write_batch(
    connection: psycopg.Connection[Any], batch: Batch, offsets: StoredOffsets, bars: BarWriter, rows: RowMerger
) -> None:
    """Write the whole batch or nothing of it.

    Raises Fenced where another recorder holds the partitions, and psycopg.Error: one of REJECTED_DATA where the
    database rejects a row.
    """
    with connection.transaction(), connection.cursor() as cursor:
        offsets.advance(cursor, batch.next_positions)
        if batch.bars is not None:
            bars.write(cursor, batch.bars)
        for table, buffer in (*batch.rows.items(), *_rows_of_running_runs(cursor, batch).items()):
            rows.write(cursor, table, buffer)
        _write_runs(cursor, batch)
        _write_ingest_records(cursor, batch)
        upsert_catalogue(cursor, batch)


def _rows_of_running_runs(cursor: Cursor, batch: Batch) -> dict[TargetTable, CopyBuffer]:
    """Rows of runs that have not ended before this batch: an ended run never changes."""
    if not batch.run_rows:
        return {}
    query = "SELECT run_id FROM runs WHERE run_id = ANY(%s) AND state <> 'running'"
    ended = {row[0] for row in cursor.execute(query, (list(batch.run_rows),)).fetchall()}
    found: dict[TargetTable, CopyBuffer] = defaultdict(CopyBuffer)
    for run_id, buffers in batch.run_rows.items():
        if run_id not in ended:
            for table, buffer in buffers.items():
                found[table].extend(buffer)
    return found


def _write_runs(cursor: Cursor, batch: Batch) -> None:
    if batch.runs_started:
        cursor.executemany(
            """INSERT INTO runs (run_id, name, namespace, strategy, params, spec, exchange, symbols, interval,
                                  replay_uid, cash, started_at, trials)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
            [_started_values(run) for run in batch.runs_started],
        )
    if batch.runs_ended:  # an ended run never changes
        cursor.executemany(
            """UPDATE runs SET state = %s, message = %s, bars = %s, metrics = %s, trades_hash = %s, ended_at = %s,
                               undefined = %s, drawdowns = %s, periods = %s, analyses = %s, positions = %s, orders = %s
            WHERE run_id = %s AND state = 'running'""",
            [_ended_values(run) for run in batch.runs_ended],
        )
        if cursor.rowcount < len(batch.runs_ended):
            _check_runs_exist(cursor, [run.run_id for run in batch.runs_ended])


def _check_runs_exist(cursor: Cursor, run_ids: list[str]) -> None:
    rows = cursor.execute("SELECT run_id FROM runs WHERE run_id = ANY(%s)", (run_ids,)).fetchall()
    if unknown := set(run_ids) - {row[0] for row in rows}:
        raise psycopg.DataError(f"run_id: got the end of {min(unknown)!r}, expected a run that has started")


def _started_values(run: RunStarted) -> tuple[object, ...]:
    return (
        run.run_id, run.name, run.namespace, run.strategy, bytes(run.params).decode(), bytes(run.spec).decode(),
        run.exchange, run.symbols, run.interval, run.replay_uid, run.cash, _timestamp(run.started_at), run.trials,
    )  # fmt: skip


def _ended_values(run: RunEnded) -> tuple[object, ...]:
    report = (run.undefined, run.drawdowns, run.periods, run.analyses, run.positions, run.orders)
    return (
        run.state, run.message, run.bars, Jsonb(run.metrics), run.trades_hash, _timestamp(run.ended_at),
        *(Jsonb(msgspec.to_builtins(each)) for each in report), run.run_id,
    )  # fmt: skip


def _write_ingest_records(cursor: Cursor, batch: Batch) -> None:
    if batch.errors:
        cursor.executemany(
            """INSERT INTO ingest_errors (topic, partition, "offset", at, reason, payload, feed, exchange, symbol,
                                           place, rows)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
            [_error_values(error) for error in batch.errors],
        )
    if batch.gaps:
        cursor.executemany(
            """INSERT INTO gaps (exchange, symbol, interval, start_ts, end_ts, state, trades, ids)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (exchange, symbol, interval, start_ts)
            DO UPDATE SET end_ts = EXCLUDED.end_ts, state = EXCLUDED.state, trades = EXCLUDED.trades,
                          ids = EXCLUDED.ids""",
            [_gap_values(gap) for gap in batch.gaps],
        )


def _error_values(e: IngestErrorRow) -> tuple[object, ...]:
    return (
        e.topic, e.partition, e.offset, _timestamp(e.at), e.reason, e.payload, e.feed, e.exchange, e.symbol, e.place,
        e.rows,
    )  # fmt: skip


def _gap_values(g: Gap) -> tuple[object, ...]:
    return (
        g.exchange, g.symbol, g.interval, _timestamp(g.start), _timestamp(g.end), g.state, g.trades, g.ids,
    )  # fmt: skip


def _timestamp(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
