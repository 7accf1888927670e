"""The recorder at work: this thread reads and decodes, others write."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable

import stamina

from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect
from tapedeck_recorder.kafka.consumer import Reader
from tapedeck_recorder.kafka.topic_ids import Identity
from tapedeck_recorder.rows.batch import Partition
from tapedeck_recorder.store.batch_writer import NAME, RETRIES, RETRY_SECONDS, retrying
from tapedeck_recorder.store.offsets import Offsets
from tapedeck_recorder.store.rollup_refresh import Refresher
from tapedeck_recorder.store.writer_pool import Lanes
from tapedeck_recorder.topic_watcher import Follower

POLL_SECONDS = 0.1
MEASURE_SECONDS = 1.0


class Recorder:
    """Reads until ``stop`` is set. Raises KafkaException where the broker or a topic is missing.

    ``made_anew`` is called when topics are others under their old names.
    """

    def __init__(self, connections: Connections, stop: threading.Event, made_anew: Callable[[], None]) -> None:
        self._connections = connections
        self._stop = stop
        identity = Identity(connections)
        self._offsets = Offsets(identity.cluster_id(), identity.topic_ids())
        self._refresher = Refresher(connections, stop)
        self._lanes = Lanes(connections, self._offsets, stop, self._refresher.wrote)
        self._reader = Reader(connections, self._load, self._lanes.settle)
        self._follower = Follower(identity, self._offsets, self._lanes, self._reader, self._load, made_anew)

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned, which takes broker and database."""
        return bool(self._reader.assigned)

    def run(self) -> None:
        """Record. Raises Fenced, psycopg.Error and KafkaException, with nothing half-written."""
        tune()
        self._refresher.start()
        self._reader.open()
        try:
            measured = 0.0
            while not self._stop.is_set():
                messages = self._reader.read(POLL_SECONDS)
                if messages:
                    self._lanes.put(messages)
                if time.monotonic() - measured > MEASURE_SECONDS:
                    self._reader.measure()
                    self._follower.follow()
                    if not messages:
                        self._follower.catch_up()
                    measured = time.monotonic()
        finally:
            self._follower.close()
            try:
                self._lanes.close()
            finally:
                self._reader.close()

    def _load(self, partitions: list[Partition]) -> dict[Partition, int]:
        for attempt in stamina.retry_context(
            on=retrying(self._stop), attempts=RETRIES, timeout=RETRY_SECONDS, wait_initial=0.1, wait_max=3.0
        ):
            with attempt, connect(self._connections, name=NAME, autocommit=True) as connection:
                return self._offsets.load(connection, partitions)
        raise AssertionError("unreachable: the last attempt raises")


def tune() -> None:
    """Set the interpreter up for several busy threads and batches of many small objects."""
    # A writer mostly waits for the socket: with the default of 5 ms each of its turns would cost as much.
    sys.setswitchinterval(0.0005)
    # A batch's objects live as long as the batch: looking for cycles among them finds none.
    gc.freeze()
    gc.set_threshold(100_000)
