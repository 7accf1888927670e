"""Coarser bars that the database keeps ready are built anew where bars of the past were written."""

from __future__ import annotations

import threading
import time

import psycopg

from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect
from tapedeck_common.store.storage import ask_refresh
from tapedeck_recorder.rows.batch import Batch

NAME = "tapedeck-refresh"
PERIOD_SECONDS = 10.0
# No coarser bar is kept ready before it has ended: what is newer than the shortest can't be in one.
NEW_MS = 300_000


class Refresher(threading.Thread):
    """Asks the database, now and then while there is reason to; until ``stop`` is set.

    Where it keeps none ready the thread ends. What a recorder that ends did not ask for comes by the policy's schedule.
    """

    def __init__(self, connections: Connections, stop: threading.Event) -> None:
        super().__init__(name="refresh", daemon=True)
        self._connections = connections
        self._stopping = stop
        self._due = threading.Event()

    def wrote(self, batch: Batch) -> None:
        """A batch is committed: a backfill's, a repair's or a correction's gives reason to."""
        if batch.spans and min(batch.spans.values())[0] < time.time() * 1000 - NEW_MS:
            self._due.set()

    def run(self) -> None:
        while not self._stopping.wait(PERIOD_SECONDS):
            if not self._due.is_set():
                continue
            self._due.clear()
            try:
                with connect(self._connections, name=NAME, autocommit=True) as connection:
                    if not ask_refresh(connection):
                        return
            except psycopg.Error as error:
                log.warning("coarser bars are not refreshed yet", reason=str(error), again=PERIOD_SECONDS)
                self._due.set()
