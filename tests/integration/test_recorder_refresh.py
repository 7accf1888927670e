"""When the recorder asks for coarser bars to be built anew."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from pods.recorder import eventually, select
from tapedeck_common.settings import Connections
from tapedeck_recorder.rows.batch import Batch
from tapedeck_recorder.store import rollup_refresh
from tapedeck_recorder.store.rollup_refresh import Refresher

DAY = 86_400_000
COUNTED = """
CREATE TABLE asked (at timestamptz DEFAULT now());
CREATE OR REPLACE FUNCTION refresh_coarser() RETURNS int8 LANGUAGE sql SECURITY DEFINER
AS $$ INSERT INTO asked DEFAULT VALUES; SELECT 5::int8 $$
"""


def wrote(open_ms: int) -> Batch:
    return Batch(spans={("x", "A/B", "1m"): (open_ms, open_ms)})


def test_bars_of_the_past_are_reason_to(store: str, connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_refresh, "PERIOD_SECONDS", 0.02)
    recorder: dict[str, Any] = {"store_dsn": SecretStr(store.replace("postgres@", "tapedeck_recorder@"))}
    stop = threading.Event()
    refresher = Refresher(connections.model_copy(update=recorder), stop)
    now = int(time.time() * 1000)
    with psycopg.connect(store, autocommit=True) as connection:
        connection.execute(COUNTED)

        def asked(times: int) -> bool:
            return select(store, "SELECT count(*) FROM asked") == [(times,)]

        refresher.start()
        refresher.wrote(Batch())
        refresher.wrote(wrote(now - 60_000))
        time.sleep(0.1)
        assert asked(0)
        for times in (1, 2):
            refresher.wrote(wrote(now - DAY))
            eventually(partial(asked, times))
        # It goes on after a failure, and ends where nothing is kept ready.
        connection.execute("ALTER FUNCTION refresh_coarser() RENAME TO elsewhere")
        refresher.wrote(wrote(now - DAY))
        time.sleep(0.1)
        assert refresher.is_alive()
        connection.execute("CREATE FUNCTION refresh_coarser() RETURNS int8 LANGUAGE sql AS 'SELECT 0::int8'")
        refresher.join(30)
        assert not refresher.is_alive()
    stop.set()
