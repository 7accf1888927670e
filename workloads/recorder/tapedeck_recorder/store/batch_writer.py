"""A thread that writes batches in order, one transaction each, and retries while the database is unreachable."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import stamina
from confluent_kafka import Message

from tapedeck_common.logs import log
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect
from tapedeck_common.tracing import RecordTracer, traced, tracer
from tapedeck_common.wire import origin_of
from tapedeck_crds.errors import InvalidInput
from tapedeck_recorder import metrics
from tapedeck_recorder.lag import LAG
from tapedeck_recorder.rows.batch import Batch, rejected_message
from tapedeck_recorder.rows.batch_builder import build_batch
from tapedeck_recorder.rows.tables import BARS
from tapedeck_recorder.store.bar_writer import BarWriter
from tapedeck_recorder.store.offsets import StoredOffsets
from tapedeck_recorder.store.row_merger import RowMerger
from tapedeck_recorder.store.transaction import REJECTED_DATA, write_batch

APPLICATION_NAME = "tapedeck-recorder"
QUEUE_SIZE = 1  # batches that are decoded while another is written
RETRIES, RETRY_SECONDS = 60, 120.0
STOP_SECONDS = 5.0  # how long writing may take after ``stop`` is set
_POLL_SECONDS = 0.1

_UNREACHABLE = (psycopg.OperationalError, psycopg.InterfaceError)


def is_retriable(stop: threading.Event) -> Callable[[Exception], bool]:
    """A predicate for errors that a retry may cure: the database is unreachable and ``stop`` is not set."""
    return lambda error: isinstance(error, _UNREACHABLE) and not isinstance(error, REJECTED_DATA) and not stop.is_set()


class BatchWriter:
    """Takes batches from the reading thread, which gets the writer's error at its next call.

    ``on_commit`` is called with each committed batch, in the writer's thread.
    """

    def __init__(
        self,
        connections: Connections,
        offsets: StoredOffsets,
        stop: threading.Event,
        on_commit: Callable[[Batch], None],
        verifier: ResultVerifier,
    ) -> None:
        self._verifier = verifier
        self._tracer = tracer()
        self._connections = connections
        self._offsets = offsets
        self._bars, self._rows = BarWriter(), RowMerger()
        self._on_commit = on_commit
        self._stop = stop
        self._queue: queue.Queue[Batch | None] = queue.Queue(QUEUE_SIZE)
        self._failure: BaseException | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def enqueue(self, batch: Batch) -> None:
        """Queue a batch, waiting while the queue is full. After ``stop`` is set the batch may stay unwritten."""
        while not self._stop.is_set():
            self.raise_failure()
            try:
                self._queue.put(batch, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return

    def drain(self) -> None:
        """Wait until every queued batch is committed; after ``stop`` is set, at most STOP_SECONDS."""
        deadline = float("inf")
        while self._queue.unfinished_tasks and self._failure is None and time.monotonic() < deadline:
            if self._stop.is_set():
                deadline = min(deadline, time.monotonic() + STOP_SECONDS)
            time.sleep(0.002)
        self.raise_failure()

    def close(self) -> None:
        """Drain and stop. Whatever is not committed by then is rolled back; the next recorder reads it again."""
        try:
            self.drain()
        finally:
            if not self._queue.unfinished_tasks and self._thread.is_alive():
                self._queue.put(None, timeout=_POLL_SECONDS)
                self._thread.join(timeout=STOP_SECONDS)

    def raise_failure(self) -> None:
        """Raises the error that ended the thread, if one did."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            try:
                self._write(batch)
            except BaseException as failure:  # raised again in the reading thread
                self._failure = failure
                return
            finally:
                self._queue.task_done()
        self._queue.task_done()
        if self._connection is not None:
            self._connection.close()

    def _write(self, batch: Batch) -> None:
        started, started_ns = time.monotonic(), time.time_ns()
        try:
            for attempt in stamina.retry_context(
                on=is_retriable(self._stop), attempts=RETRIES, timeout=RETRY_SECONDS, wait_initial=0.1, wait_max=3.0
            ):
                with attempt:
                    self._attempt(batch, first=attempt.num == 1)
        except REJECTED_DATA as error:
            self._write_halves(batch, str(error))
            return
        self._offsets.mark_committed(batch.next_positions)
        LAG.record(batch.next_positions, batch.written_at)
        self._on_commit(batch)
        _count(batch, time.monotonic() - started)
        if self._tracer is not None:
            _trace(self._tracer, batch, started_ns)

    def _write_halves(self, batch: Batch, reason: str) -> None:
        """Bisect the batch down to the message that the database rejects; that message goes to ingest_errors."""
        middle = len(batch.messages) // 2
        if middle:
            self._write(build_batch(batch.messages[:middle], self._verifier))
            self._write(build_batch(batch.messages[middle:], self._verifier))
            return
        (message,) = batch.messages
        self._write(Batch(next_positions=batch.next_positions, errors=[rejected_message(message, reason)]))

    def _attempt(self, batch: Batch, *, first: bool) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._connections, name=APPLICATION_NAME)
        try:
            # The connection may have broken after the commit and before its answer: check before writing again.
            if not first and self._offsets.is_committed(self._connection, batch.next_positions):
                return
            write_batch(self._connection, batch, self._offsets, self._bars, self._rows)
        except REJECTED_DATA:
            raise
        except _UNREACHABLE as error:
            log.warning("database unreachable", reason=str(error))
            self._connection.close()
            raise


def _trace(tracer: RecordTracer, batch: Batch, started_ns: int) -> None:
    """A span for each traced record that the batch has stored, as a row or, where it is refused, as an error."""
    refused = {(error.topic, error.partition, error.offset): error.reason for error in batch.errors if not error.feed}
    for message in traced(batch.messages):
        if not _is_streamed(message) and (span := tracer.follow("store", message, started_ns)):
            span.end(refused.get((message.topic() or "", message.partition() or 0, message.offset() or 0), ""))


def _is_streamed(message: Message) -> bool:
    """Whether it is a copy of a replay's stream, which is dropped."""
    try:
        return origin_of(message.headers()).streamed
    except InvalidInput:  # it is refused, or a result
        return False


def _count(batch: Batch, seconds: float) -> None:
    for buffers in (batch.rows, *batch.run_rows.values()):
        for table, buffer in buffers.items():
            metrics.ROWS.labels(table.name).inc(buffer.count)
    if batch.bars is not None:
        metrics.ROWS.labels(BARS.name).inc(len(batch.bars))
    metrics.DROPPED.inc(batch.dropped)
    for error in batch.errors:
        if error.feed:
            metrics.REFUSED_ROWS.inc(error.rows)
        else:
            metrics.REJECTED.labels(error.topic).inc()
    metrics.COMMIT_SECONDS.observe(seconds)
