"""The recorder at work: one thread reads and prepares batches, another writes them."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import psycopg
import stamina

from tapedeck.logs import log
from tapedeck.settings import Connections
from tapedeck.store.database import connect
from tapedeck_recorder import metrics
from tapedeck_recorder.batch import Batch, build
from tapedeck_recorder.consume import CLIENT, Reader, read_offsets
from tapedeck_recorder.offsets import Offsets
from tapedeck_recorder.write import write

POLL_SECONDS = 0.1
AHEAD = 1  # batches prepared while one is written
RETRY_SECONDS = 120.0
RETRIES = 60

_Passing = (psycopg.OperationalError, psycopg.InterfaceError)


class Writer:
    """Writes batches in order, each in a transaction of its own. A failure is raised by the next call."""

    def __init__(self, connections: Connections, offsets: Offsets) -> None:
        self._connections = connections
        self._offsets = offsets
        self._queue: queue.Queue[Batch | None] = queue.Queue(AHEAD)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._connection: psycopg.Connection[Any] | None = None
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Hand a batch over; waits while others are before it. Raises what an earlier one failed with."""
        while True:
            self._raise()
            try:
                self._queue.put(batch, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return

    def settle(self) -> None:
        """Wait until all that was handed over is written. Raises what failed."""
        while self._queue.unfinished_tasks and self._failure is None:
            time.sleep(0.002)
        self._raise()

    def close(self) -> None:
        """Write what was handed over, then end."""
        while self._thread.is_alive() and self._failure is None:
            try:
                self._queue.put(None, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            break
        self._thread.join(timeout=10)
        self._raise()

    def _raise(self) -> None:
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

    def _write(self, batch: Batch) -> None:
        began = time.monotonic()
        for attempt in stamina.retry_context(
            on=_Passing, attempts=RETRIES, timeout=RETRY_SECONDS, wait_initial=0.1, wait_max=3.0
        ):
            with attempt:
                self._try(batch, first=attempt.num == 1)
        self._offsets.committed(batch.next_offsets)
        metrics.COMMITS.observe(time.monotonic() - began)
        metrics.DROPPED.inc(batch.dropped)

    def _try(self, batch: Batch, *, first: bool) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._connections, name=CLIENT, autocommit=True)
        try:
            # The answer to a commit can be lost with the connection: ask before writing again.
            if not first and self._offsets.done(self._connection, batch.next_offsets):
                return
            write(self._connection, batch, self._offsets)
        except _Passing as error:
            log.warning("the database is away", reason=str(error))
            self._connection.close()
            raise


class Recorder:
    """Reads until ``stop`` is set."""

    def __init__(self, connections: Connections, stop: threading.Event) -> None:
        self._stop = stop
        offsets = read_offsets(connections)
        self._writer = Writer(connections, offsets)
        self._reader = Reader(connections, offsets, lambda: _connect(connections), self._writer.settle)
        self.messages = 0

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned."""
        return bool(self._reader.assigned)

    def run(self) -> None:
        """Record. Raises Fenced, psycopg.Error and KafkaException, with nothing half-written."""
        self._reader.open()
        try:
            while not self._stop.is_set():
                messages = self._reader.read(POLL_SECONDS)
                if messages:
                    self._writer.put(build(messages))
                    self.messages += len(messages)
        finally:
            try:
                self._writer.close()
            finally:
                self._reader.close()


@stamina.retry(on=_Passing, attempts=RETRIES, timeout=RETRY_SECONDS, wait_initial=0.1, wait_max=3.0)
def _connect(connections: Connections) -> psycopg.Connection[Any]:
    return connect(connections, name=CLIENT, autocommit=True)
