"""The cursor: the last record that was handed to the producer, and the next one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import msgspec

from tapedeck_replay.output.position import ReplayPosition
from tapedeck_replay.playback.chunks import EncodedChunk
from tapedeck_replay.playback.read_ahead import ReadAhead
from tapedeck_replay.source.dataset import Dataset, RecordSource

READ_AHEAD_SECONDS = 0.2


class ReplayCursor:
    """Reads a dataset onwards from a position. ``on_chunk`` is called, from another thread, when a chunk is ready."""

    def __init__(
        self, source: RecordSource, dataset: Dataset, on_chunk: Callable[[], None], position: ReplayPosition
    ) -> None:
        self._source, self._dataset, self._on_chunk = source, dataset, on_chunk
        self._reader: ReadAhead | None = None
        self.move_to(position)

    def move_to(self, position: ReplayPosition) -> None:
        """Restart reading after the position; its counters become the cursor's."""
        self.close()
        self.last, self.passed, self.published = position.last, position.passed or 0, position.published
        self._chunk: EncodedChunk | None = None
        self.index = 0
        dataset = self._dataset
        after = dataset.start_after_time(position.v) if self.last is None else dataset.start_after_record(self.last)
        # A shard without symbols publishes watermarks only.
        self._reader = ReadAhead(self._source, dataset, after, self._on_chunk) if dataset.symbols else None

    def close(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.close()

    @property
    def last_event(self) -> int | None:
        """The event time of the last record handed over; None before the first of an epoch."""
        return None if self.last is None else self.last[0]

    def chunk(self) -> EncodedChunk | None:
        """The chunk that contains the next record, at ``index``; None if it is not read yet or there is none."""
        if self._reader is not None and (self._chunk is None or self.index >= len(self._chunk)):
            self._chunk, self.index = self._reader.next_chunk(), 0
        return self._chunk

    def next_event(self) -> float | None:
        """The event time of the next record: infinity after the last, None if it is not read yet."""
        chunk = self.chunk()
        if chunk is not None:
            return chunk.events[self.index]
        return math.inf if self._reader is None or self._reader.exhausted else None

    def count_before(self, v: int) -> int:
        """How many records of the dataset have an event time up to and including ``v``."""
        return self._source.count(self._dataset, v) if self._dataset.symbols and v > self._dataset.virtual_start else 0

    def advance(self, end: int) -> None:
        """The chunk's records before index ``end`` were handed over."""
        if self._chunk is None:
            raise ValueError(f"end: got {end} without a chunk")
        self.passed += end - self.index
        self.published += end - self.index
        self.last = self._chunk.order_key(end - 1)
        self.index = end


def position_after(
    source: RecordSource, dataset: Dataset, position: ReplayPosition, count: int, heartbeat: Callable[[], None]
) -> ReplayPosition:
    """The position after so many more records. ``heartbeat`` is called at least once a second."""
    if count == 0:
        return position
    ready = threading.Event()
    cursor = ReplayCursor(source, dataset, ready.set, position)
    try:
        while (missing := position.published + count - cursor.published) and cursor.next_event() != math.inf:
            heartbeat()
            ready.clear()
            if (chunk := cursor.chunk()) is None:
                ready.wait(READ_AHEAD_SECONDS)
            else:
                cursor.advance(min(cursor.index + missing, len(chunk)))
        last = cursor.last
        reached = position.v if last is None else max(position.v, last[0] - 1)  # others of its time may follow
        return msgspec.structs.replace(position, v=reached, last=last, passed=cursor.passed, published=cursor.published)
    finally:
        cursor.close()
