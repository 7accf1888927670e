"""Several writer threads: one connection would use one core of the database.

Each partition belongs to one writer, so the records of a series are written in their order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from confluent_kafka import Message

from tapedeck_common.log_positions import Partition, partition_runs
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_common.settings import Connections
from tapedeck_recorder.lag import LAG
from tapedeck_recorder.rows.batch import Batch
from tapedeck_recorder.rows.batch_builder import PartitionRun, batch_of_runs
from tapedeck_recorder.store.batch_writer import BatchWriter
from tapedeck_recorder.store.offsets import StoredOffsets

WRITERS = 2


class WriterPool:
    """Each call raises the error with which a writer failed."""

    def __init__(
        self,
        connections: Connections,
        offsets: StoredOffsets,
        stop: threading.Event,
        on_commit: Callable[[Batch], None],
        verifier: ResultVerifier,
    ) -> None:
        self._verifier = verifier
        self._writers = [BatchWriter(connections, offsets, stop, on_commit, verifier) for _ in range(WRITERS)]
        self._writer_of: dict[Partition, int] = {}

    def enqueue(self, messages: Sequence[Message]) -> None:
        """Decode messages and pass them to their writers, waiting while a writer's queue is full."""
        for owner, share in zip(self._writers, self._shares(messages), strict=True):
            if share:
                batch = batch_of_runs(share, self._verifier)
                LAG.read(batch.next_positions)
                owner.enqueue(batch)
            else:
                owner.raise_failure()

    def _shares(self, messages: Sequence[Message]) -> list[list[PartitionRun]]:
        """The messages of each writer."""
        shares: list[list[PartitionRun]] = [[] for _ in self._writers]
        for partition, run in partition_runs(messages):
            writer = self._writer_of.setdefault(partition, len(self._writer_of) % WRITERS)
            shares[writer].append((partition, run))
        return shares

    def write_now(self, batch: Batch) -> None:
        """Write one batch after everything that was enqueued; returns once it is committed."""
        self.drain()
        self._writers[0].enqueue(batch)
        self.drain()

    def drain(self) -> None:
        """Wait until everything that was enqueued is committed."""
        for writer in self._writers:
            writer.drain()

    def close(self) -> None:
        """Drain and stop every writer, whichever of them failed."""
        failures: list[Exception] = []
        for writer in self._writers:
            try:
                writer.close()
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
