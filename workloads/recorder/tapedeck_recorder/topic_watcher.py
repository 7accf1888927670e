"""Watching the log for topics that were recreated and records that were deleted before they were recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor

from confluent_kafka import KafkaException

from tapedeck_common.logs import log
from tapedeck_recorder.kafka.consumer import RecordConsumer
from tapedeck_recorder.kafka.topic_ids import TopicInspector, TopicState
from tapedeck_recorder.rows.batch import NO_OFFSET, Batch, IngestErrorRow, Partition
from tapedeck_recorder.store.offsets import StoredOffsets
from tapedeck_recorder.store.writer_pool import WriterPool

INSPECT_SECONDS = 10.0
RETRY_SECONDS = 1.0


class TopicWatcher:
    """Makes sure that no record of the log is skipped silently. A thread of its own waits for the broker."""

    def __init__(
        self,
        inspector: TopicInspector,
        offsets: StoredOffsets,
        writers: WriterPool,
        consumer: RecordConsumer,
        load_offsets: Callable[[list[Partition]], dict[Partition, int]],
        on_topics_recreated: Callable[[], None],
    ) -> None:
        self._inspector = inspector
        self._offsets = offsets
        self._writers = writers
        self._consumer = consumer
        self._load_offsets = load_offsets
        self._on_topics_recreated = on_topics_recreated
        self._executor = ThreadPoolExecutor(1, "topic-watcher")
        self._inspection: Future[TopicState] | None = None
        self._next_inspection = time.monotonic() + INSPECT_SECONDS

    def poll(self) -> None:
        """Handle a finished inspection, or start one if it is time. Never waits for the broker."""
        if self._inspection is None:
            if time.monotonic() > self._next_inspection or self._consumer.out_of_range:
                self._inspection = self._executor.submit(
                    self._inspector.inspect, frozenset(self._consumer.out_of_range)
                )
        elif self._inspection.done():
            inspection, self._inspection = self._inspection, None
            self._next_inspection = time.monotonic() + INSPECT_SECONDS
            try:
                state = inspection.result()
            except KafkaException as error:  # the consumer raises errors that are not transient
                log.warning("the broker did not describe its topics", reason=str(error))
                self._next_inspection = time.monotonic() + RETRY_SECONDS
            else:
                self._apply(state)

    def commit_trailing_offsets(self) -> None:
        """Store positions after transaction markers at the end of the log, so that the stored lag reaches zero."""
        if self._offsets.ahead_of_store(self._consumer.positions()):
            self._writers.drain()
            if ahead := self._offsets.ahead_of_store(self._consumer.positions()):
                self._writers.write_now(Batch(next_offsets=ahead))

    def close(self) -> None:
        """Stop the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _apply(self, state: TopicState) -> None:
        if not self._offsets.has_topic_ids(state.topic_ids):
            self._restart_with(state.topic_ids)
        elif out_of_range := self._consumer.out_of_range & state.offset_ranges.keys():
            self._skip_missing(out_of_range, state.offset_ranges)

    def _restart_with(self, topic_ids: dict[str, str]) -> None:
        """Read recreated topics from their beginning.

        Some of their records may have been written under the old ids already. Writing them again changes nothing.
        """
        log.warning("topics were recreated", ids=topic_ids)
        self._writers.drain()
        self._offsets.set_topic_ids(topic_ids)
        self._consumer.reopen()
        self._on_topics_recreated()

    def _skip_missing(self, out_of_range: Set[Partition], offset_ranges: Mapping[Partition, tuple[int, int]]) -> None:
        """Continue at the log's start where the log lacks the next offset, and report the missing records."""
        self._writers.drain()
        stored = self._load_offsets(sorted(self._consumer.assigned))
        for partition in out_of_range:
            start, end = offset_ranges[partition]
            if stored[partition] != NO_OFFSET and not start <= stored[partition] <= end:
                self._writers.write_now(_missing_records(partition, stored[partition], start, end))
        self._consumer.reset_positions()


def _missing_records(partition: Partition, stored: int, start: int, end: int) -> Batch:
    """A batch that moves the stored offset to the log's start and reports what is missing."""
    reason = (
        f"offsets {stored} to {start - 1} were deleted from the log before they were recorded"
        if stored < start
        else f"the log ends at {end}, before the stored offset {stored}: the broker lost records"
    )
    log.error("records are missing on the log", topic=partition[0], partition=partition[1], reason=reason)
    error = IngestErrorRow(*partition, offset=stored, at=int(time.time() * 1000), reason=reason, payload="")
    return Batch(next_offsets={partition: start}, errors=[error])
