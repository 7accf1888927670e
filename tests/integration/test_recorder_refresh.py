"""When the recorder requests a refresh of coarser bars."""

from __future__ import annotations

import threading
import time
from functools import partial

import psycopg
import pytest

from pods.recorder import MINUTE, bar_batch, eventually, select
from pods.services import as_role
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_recorder.rows.batch import Batch
from tapedeck_recorder.store import rollup_refresh
from tapedeck_recorder.store.rollup_refresh import RollupRefresher

DAY = 86_400_000
COUNTED = """
CREATE TABLE requests (at timestamptz DEFAULT now());
CREATE OR REPLACE FUNCTION refresh_coarser() RETURNS int8 LANGUAGE sql SECURITY DEFINER
AS $$ INSERT INTO requests DEFAULT VALUES; SELECT 5::int8 $$
"""


def batch_of_a_bar(open_ms: int) -> Batch:
    bar = Bar("x", "A/B", "1m", open_ms - open_ms % MINUTE, 2.0, 3.0, 1.0, 2.0, 5.0)
    return Batch(bars=bar_batch([bar], ["backfill"]))


def test_old_bars_request_a_refresh(store: str, connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_refresh, "PERIOD_SECONDS", 0.02)
    stop = threading.Event()
    refresher = RollupRefresher(as_role(connections, "tapedeck_recorder"), stop)
    now = int(time.time() * 1000)
    with psycopg.connect(store, autocommit=True) as connection:
        connection.execute(COUNTED)

        def requested(times: int) -> bool:
            return select(store, "SELECT count(*) FROM requests") == [(times,)]

        refresher.start()
        refresher.on_commit(Batch())
        refresher.on_commit(batch_of_a_bar(now - 60_000))
        time.sleep(0.1)
        assert requested(0)
        for times in (1, 2):
            refresher.on_commit(batch_of_a_bar(now - DAY))
            eventually(partial(requested, times))
        # It continues after a failure, and ends where the database has no continuous aggregates.
        connection.execute("ALTER FUNCTION refresh_coarser() RENAME TO elsewhere")
        refresher.on_commit(batch_of_a_bar(now - DAY))
        time.sleep(0.1)
        assert refresher.is_alive()
        connection.execute("CREATE FUNCTION refresh_coarser() RETURNS int8 LANGUAGE sql AS 'SELECT 0::int8'")
        refresher.join(30)
        assert not refresher.is_alive()
    stop.set()
