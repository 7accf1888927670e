"""The thread that writes: batches in order, each in a transaction of its own, tried again while nobody answers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import stamina

from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect
from tapedeck_recorder import metrics
from tapedeck_recorder.rows.batch import Batch, poison
from tapedeck_recorder.rows.batch_builder import build
from tapedeck_recorder.store.offsets import Offsets
from tapedeck_recorder.store.transaction import BAD_DATA, write

NAME = "tapedeck-recorder"
AHEAD = 1  # batches prepared while one is written
RETRIES, RETRY_SECONDS = 60, 120.0
STOP_SECONDS = 5.0  # how long a batch may take to be written once the recorder has to end
_WAIT = 0.1

_AWAY = (psycopg.OperationalError, psycopg.InterfaceError)


def retrying(stop: threading.Event) -> Callable[[Exception], bool]:
    """What is worth another try: the database may come back, unless we have to end."""
    return lambda error: isinstance(error, _AWAY) and not isinstance(error, BAD_DATA) and not stop.is_set()


class Writer:
    """Takes batches over from the thread that reads, which gets what one failed with at its next call.

    ``wrote`` hears of each that is committed.
    """

    def __init__(
        self, connections: Connections, offsets: Offsets, stop: threading.Event, wrote: Callable[[Batch], None]
    ) -> None:
        self._connections = connections
        self._offsets = offsets
        self._wrote = wrote
        self._stop = stop
        self._queue: queue.Queue[Batch | None] = queue.Queue(AHEAD)
        self._failure: BaseException | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Hand a batch over, waiting while others are before it. One that comes after ``stop`` may stay unwritten."""
        while not self._stop.is_set():
            self.check()
            try:
                self._queue.put(batch, timeout=_WAIT)
            except queue.Full:
                continue
            return

    def settle(self) -> None:
        """Wait until all that was handed over is written; after ``stop`` no longer than STOP_SECONDS."""
        deadline = float("inf")
        while self._queue.unfinished_tasks and self._failure is None and time.monotonic() < deadline:
            if self._stop.is_set():
                deadline = min(deadline, time.monotonic() + STOP_SECONDS)
            time.sleep(0.002)
        self.check()

    def close(self) -> None:
        """Settle and end. What is not written by then is rolled back and read again by the next recorder."""
        try:
            self.settle()
        finally:
            if not self._queue.unfinished_tasks and self._thread.is_alive():
                self._queue.put(None, timeout=_WAIT)
                self._thread.join(timeout=STOP_SECONDS)

    def check(self) -> None:
        """Raises what a batch failed with."""
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            try:
                self._write(batch)
            except BaseException as failure:  # handed to the thread that waits for it
                self._failure = failure
                return
            finally:
                self._queue.task_done()
        self._queue.task_done()
        if self._connection is not None:
            self._connection.close()

    def _write(self, batch: Batch) -> None:
        began = time.monotonic()
        try:
            for attempt in stamina.retry_context(
                on=retrying(self._stop), attempts=RETRIES, timeout=RETRY_SECONDS, wait_initial=0.1, wait_max=3.0
            ):
                with attempt:
                    self._try(batch, first=attempt.num == 1)
        except BAD_DATA as error:
            self._write_apart(batch, str(error))
            return
        self._offsets.committed(batch.next_offsets)
        self._wrote(batch)
        _count(batch, time.monotonic() - began)

    def _write_apart(self, batch: Batch, reason: str) -> None:
        """Halve the batch until the message is alone that the database refuses; it is kept with the reason."""
        middle = len(batch.messages) // 2
        if middle:
            self._write(build(batch.messages[:middle]))
            self._write(build(batch.messages[middle:]))
            return
        (message,) = batch.messages
        self._write(Batch(next_offsets=batch.next_offsets, faults=[poison(message, reason)]))

    def _try(self, batch: Batch, *, first: bool) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._connections, name=NAME, autocommit=True)
        try:
            # The answer to a commit can be lost with the connection: ask before writing again.
            if not first and self._offsets.done(self._connection, batch.next_offsets):
                return
            write(self._connection, batch, self._offsets)
        except BAD_DATA:
            raise
        except _AWAY as error:
            log.warning("the database is away", reason=str(error))
            self._connection.close()
            raise


def _count(batch: Batch, seconds: float) -> None:
    for each in (batch.rows, *batch.of_runs.values()):
        for table, rows in each.items():
            metrics.ROWS.labels(table.name).inc(rows.count)
    metrics.BATCHES.inc()
    metrics.DROPPED.inc(batch.dropped)
    metrics.POISON.inc(batch.poison)
    metrics.COMMITS.observe(seconds)
