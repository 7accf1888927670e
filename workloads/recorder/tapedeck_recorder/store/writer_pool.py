"""Several writers side by side: the database has more than one core.

A partition always goes to the same writer, so what belongs to one series is written in its order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from confluent_kafka import Message

from tapedeck_common.settings import Connections
from tapedeck_recorder.rows.batch import Batch, Partition
from tapedeck_recorder.rows.batch_builder import build
from tapedeck_recorder.store.batch_writer import Writer
from tapedeck_recorder.store.offsets import Offsets

LANES = 2


class Lanes:
    """What one writer failed with is raised by the next call."""

    def __init__(
        self, connections: Connections, offsets: Offsets, stop: threading.Event, wrote: Callable[[Batch], None]
    ) -> None:
        self._writers = [Writer(connections, offsets, stop, wrote) for _ in range(LANES)]
        self._lane_of: dict[Partition, int] = {}

    def put(self, messages: Sequence[Message]) -> None:
        """Decode messages and hand them over, waiting while others are before them."""
        parts: list[list[Message]] = [[] for _ in self._writers]
        for message in messages:
            partition: Partition = (message.topic(), message.partition())  # type: ignore[assignment]
            lane = self._lane_of.setdefault(partition, len(self._lane_of) % LANES)
            parts[lane].append(message)
        for writer, part in zip(self._writers, parts, strict=True):
            if part:
                writer.put(build(part))
            else:
                writer.check()

    def write(self, batch: Batch) -> None:
        """Write one batch behind all that was handed over."""
        self.settle()
        self._writers[0].put(batch)
        self.settle()

    def settle(self) -> None:
        """Wait until all that was handed over is written."""
        for writer in self._writers:
            writer.settle()

    def close(self) -> None:
        """Settle and end; every writer is asked, whatever one failed with."""
        failures: list[Exception] = []
        for writer in self._writers:
            try:
                writer.close()
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
