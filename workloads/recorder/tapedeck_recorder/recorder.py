"""The recorder's loop: one thread reads and decodes messages, writer threads write batches."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable

import stamina

from tapedeck_common.log_positions import LogPosition, Partition
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect
from tapedeck_recorder.kafka.consumer import RecordConsumer
from tapedeck_recorder.kafka.topic_ids import TopicInspector
from tapedeck_recorder.store.batch_writer import APPLICATION_NAME, RETRIES, RETRY_SECONDS, is_retriable
from tapedeck_recorder.store.offsets import StoredOffsets
from tapedeck_recorder.store.rollup_refresh import RollupRefresher
from tapedeck_recorder.store.writer_pool import WriterPool
from tapedeck_recorder.topic_watcher import TopicWatcher

POLL_SECONDS = 0.5  # a record ends it; so long may an idle recorder take to see that it shall stop
HOUSEKEEPING_SECONDS = 1.0
# Each commit leaves a few cycles, those of its retries. At 50 small batches a second they are 8 MB a minute.
COLLECT_SECONDS = 10.0


class Recorder:
    """Records until ``stop`` is set. Raises KafkaException where the broker or a topic is missing.

    ``on_topics_recreated`` is called when topics were deleted and created again under their names.
    """

    def __init__(
        self,
        connections: Connections,
        verifier: ResultVerifier,
        stop: threading.Event,
        on_topics_recreated: Callable[[], None],
    ) -> None:
        self._connections = connections
        self._stop = stop
        inspector = TopicInspector(connections)
        self._offsets = StoredOffsets(inspector.cluster_id(), inspector.topic_ids())
        self._refresher = RollupRefresher(connections, stop)
        self._writers = WriterPool(connections, self._offsets, stop, self._refresher.on_commit, verifier)
        self._consumer = RecordConsumer(connections, self._load_positions, self._writers.drain)
        self._watcher = TopicWatcher(inspector, self._offsets, self._writers, self._consumer, on_topics_recreated)

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned, which needs both broker and database."""
        return bool(self._consumer.assigned)

    def run(self) -> None:
        """Record. Raises Fenced, psycopg.Error and KafkaException; no batch is ever written in part."""
        tune_interpreter()
        self._refresher.start()
        self._consumer.open()
        try:
            housekeeping, collection = _Schedule(HOUSEKEEPING_SECONDS), _Schedule(COLLECT_SECONDS)
            while not self._stop.is_set():
                messages = self._consumer.read(POLL_SECONDS)
                if messages:
                    self._writers.enqueue(messages)
                if housekeeping.due():
                    self._consumer.export_lag()
                    self._watcher.poll()
                    if not messages:
                        self._watcher.commit_trailing_offsets()
                if collection.due():
                    gc.collect()
        finally:
            self._watcher.close()
            try:
                self._writers.close()
            finally:
                self._consumer.close()

    def _load_positions(self, partitions: list[Partition]) -> dict[Partition, LogPosition]:
        for attempt in stamina.retry_context(
            on=is_retriable(self._stop), attempts=RETRIES, timeout=RETRY_SECONDS, wait_initial=0.1, wait_max=3.0
        ):
            with attempt, connect(self._connections, name=APPLICATION_NAME) as connection:
                return self._offsets.load(connection, partitions)
        raise AssertionError("unreachable: the last attempt raises")


def tune_interpreter() -> None:
    """Set the interpreter up for several busy threads and batches of many small objects."""
    # A writer mostly waits for its socket. With the default of 5 ms it would wait as long again for the lock.
    sys.setswitchinterval(0.0005)
    # A batch's objects live as long as the batch: a search for cycles whenever many are made would find none. The
    # recorder searches at times of its own.
    gc.freeze()
    gc.set_threshold(1_000_000)


class _Schedule:
    """Times that are at least ``seconds`` apart, the first one at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._next = seconds, 0.0

    def due(self) -> bool:
        """Whether the next time has come; the one after it counts from now."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
