"""Bars that are stored already: the same again, corrections of long stretches, another recorder at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from pods.recorder import BACKFILL, LIVE, MINUTE, T0, bar_batch, eventually, select
from pods.recorder_stage import RecorderStage, bar, on_bars
from pods.services import EachStore
from tapedeck_common.market import RecordSource
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_recorder.rows.bar_batch import BarBatch
from tapedeck_recorder.store.bar_writer import BarWriter
from tapedeck_recorder.store.timestamp_array import timestamp_array

STORED = """
SELECT symbol, (extract(epoch FROM ts) * 1000)::int8, close, rev, source FROM bars WHERE exchange = %s ORDER BY 1, 2
"""
PLACES = "SELECT symbol, ts, ctid::text, xmin::text, xmax::text FROM bars WHERE exchange = %s ORDER BY 1, 2"

Part = list[tuple[str, int, int, float]]
"""Symbol, minute, revision and close of bars that are published together."""


def stretch(symbol: str, minutes: range, rev: int, close: float) -> Part:
    return [(symbol, minute, rev, close) for minute in minutes]


def test_long_stretches_of_corrections_are_stored_like_single_ones(stage: RecorderStage, exchange: str) -> None:
    parts: list[tuple[Part, bool]] = [
        (stretch("A/B", range(400), 0, 2.0) + stretch("C/D", range(0, 400, 3), 1, 3.0), False),
        # Corrections of a long stretch, beside bars that stay, bars that lose and new ones.
        (stretch("A/B", range(100, 300), 1, 4.0) + stretch("C/D", range(200), 1, 5.0), False),
        (stretch("A/B", range(50, 150), 1, 6.0) + stretch("A/B", range(390, 460), 1, 6.5), False),
        (stretch("A/B", range(460), 1, 7.0), True),  # live wins against the same revision
        (stretch("A/B", range(0, 460, 2), 2, 8.0), False),  # each second one
        (stretch("A/B", range(100), 4, 9.0) + stretch("A/B", range(100, 200), 3, 7.5), False),  # several revisions
        (stretch("C/D", range(0, 90_000, 1_000), 2, 8.5), False),  # far from one another
        (stretch("A/B", range(460), 1, 1.5) + stretch("C/D", range(250), 2, 8.0), False),
    ]
    model: dict[tuple[str, int], tuple[float, int, str]] = {}
    for part, live in parts:
        source = "live" if live else "backfill"
        for symbol, minute, rev, close in part:
            key = (symbol, T0 + minute * MINUTE)
            if key not in model or (rev, live) > (model[key][1], model[key][2] == "live"):
                model[key] = (close, rev, source)
        headers = LIVE if live else BACKFILL
        stage.record(*(on_bars(bar(exchange, s, minute, close, rev=rev), headers) for s, minute, rev, close in part))
        found = select(stage.dsn, STORED, exchange)
        assert found == [(*key, *values) for key, values in sorted(model.items())]


def test_only_the_corrected_rows_of_a_stretch_are_written(stage: RecorderStage, exchange: str) -> None:
    stage.record(*(on_bars(bar(exchange, "A/B", minute)) for minute in range(300)))
    before = select(stage.dsn, PLACES, exchange)
    stage.record(*(on_bars(bar(exchange, "A/B", minute, rev=int(100 <= minute < 200))) for minute in range(300)))
    after = select(stage.dsn, PLACES, exchange)
    assert len(after) == len(before)
    unwritten = [minute for minute in range(300) if after[minute] == before[minute]]
    assert unwritten == [*range(100), *range(200, 300)]


@pytest.fixture
def connected(each_store: EachStore) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    """Two connections of recorders."""
    upgrade_schema(each_store.dsn("postgres"))
    dsn = each_store.dsn("tapedeck_recorder")
    with psycopg.connect(dsn, autocommit=True) as one, psycopg.connect(dsn, autocommit=True) as other:
        yield one, other


def batch_of(minutes: range, rev: int, close: float, source: RecordSource = "backfill") -> BarBatch:
    bars = [bar("x", "A/B", minute, close, rev=rev) for minute in minutes]
    return bar_batch(bars, [source] * len(bars))


def written(connection: psycopg.Connection[Any], batch: BarBatch) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        BarWriter().write(cursor, batch)


@pytest.mark.parametrize("minutes", [range(200), range(30)], ids=["long", "short"])
def test_a_revision_that_another_recorder_stores_meanwhile_is_kept(
    connected: tuple[psycopg.Connection[Any], psycopg.Connection[Any]], minutes: range
) -> None:
    """It commits after the stored bars were read, while the writer waits for the row that both replace."""
    one, other = connected
    written(one, batch_of(minutes, 0, 2.0))
    writer = threading.Thread(target=written, args=(one, batch_of(minutes, 1, 3.0)))
    with other.transaction():
        written(other, batch_of(range(7, 8), 5, 4.0))
        writer.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        eventually(lambda: other.execute(waits, (one.info.backend_pid,)).fetchone() is not None)
    writer.join(30)
    found = [row[1:] for row in other.execute(STORED, ("x",)).fetchall()]
    assert found == [(T0 + minute * MINUTE, *((4.0, 5) if minute == 7 else (3.0, 1)), "backfill") for minute in minutes]


def test_times_of_a_parameter_are_those_of_the_array(connected: tuple[psycopg.Connection[Any], object]) -> None:
    times = np.array([0, 1, 946_684_800_000, 253_402_300_799_999])
    shown = """
        SELECT array_agg((extract(epoch FROM each) * 1000)::int8 ORDER BY place)
        FROM unnest(%s) WITH ORDINALITY AS given(each, place)
    """
    assert connected[0].execute(shown, (timestamp_array(times),)).fetchone() == (times.tolist(),)
