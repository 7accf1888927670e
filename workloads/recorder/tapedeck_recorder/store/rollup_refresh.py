"""Refreshing the continuous aggregates of coarser bars after bars of the past were written."""

from __future__ import annotations

import threading
import time

import psycopg

from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect
from tapedeck_common.store.editions import request_rollup_refresh
from tapedeck_common.store.schema_version import SchemaMismatch
from tapedeck_recorder.rows.batch import Batch

APPLICATION_NAME = "tapedeck-refresh"
PERIOD_SECONDS = 10.0
# Aggregates hold only bars that have closed. The finest is 5 minutes long, so a newer bar is in none of them.
RECENT_MS = 300_000


class RollupRefresher(threading.Thread):
    """Requests a refresh every PERIOD_SECONDS while old bars were written, until ``stop`` is set.

    Ends where the database has no continuous aggregates. A request that is lost with the process is made up by the
    refresh policy's own schedule.
    """

    def __init__(self, connections: Connections, stop: threading.Event) -> None:
        super().__init__(name="refresh", daemon=True)
        self._connections = connections
        self._stopping = stop
        self._requested = threading.Event()

    def on_commit(self, batch: Batch) -> None:
        """Request a refresh if the batch has old bars: those of a backfill, a recovery or a correction."""
        opens = batch.bars.open_ranges.values() if batch.bars is not None else ()
        if any(first < time.time() * 1000 - RECENT_MS for first, _ in opens):
            self._requested.set()

    def run(self) -> None:
        while not self._stopping.wait(PERIOD_SECONDS):
            if not self._requested.is_set():
                continue
            self._requested.clear()
            try:
                with connect(self._connections, name=APPLICATION_NAME) as connection:
                    if not request_rollup_refresh(connection):
                        return
            except (psycopg.Error, SchemaMismatch) as error:
                log.warning("refreshing coarser bars failed", reason=str(error), retry_seconds=PERIOD_SECONDS)
                self._requested.set()
