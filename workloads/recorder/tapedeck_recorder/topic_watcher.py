"""Watching the log for topics that were recreated, and for records that retention deleted or the broker lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from confluent_kafka import KafkaException

from tapedeck_common.log_positions import LogPosition, Partition
from tapedeck_common.logs import log
from tapedeck_recorder.kafka.consumer import RecordConsumer
from tapedeck_recorder.kafka.topic_ids import LogState, TopicInspector, TopicState
from tapedeck_recorder.rows.batch import Batch, IngestErrorRow
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
        on_topics_recreated: Callable[[], None],
    ) -> None:
        self._inspector = inspector
        self._offsets = offsets
        self._writers = writers
        self._consumer = consumer
        self._on_topics_recreated = on_topics_recreated
        self._executor = ThreadPoolExecutor(1, "topic-watcher")
        self._inspection: Future[TopicState] | None = None
        self._next_inspection = time.monotonic() + INSPECT_SECONDS

    def poll(self) -> None:
        """Handle a finished inspection, or start one if it is time. Never waits for the broker."""
        if self._inspection is None:
            if suspended := frozenset(self._consumer.suspended):
                self._writers.drain()  # nothing more is read of these, so what is stored stays as it is
                self._inspect(self._offsets.stored(suspended))
            elif time.monotonic() > self._next_inspection:
                self._inspect({})
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
                self._writers.write_now(Batch(next_positions=ahead))

    def close(self) -> None:
        """Stop the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _inspect(self, recorded: Mapping[Partition, LogPosition]) -> None:
        self._inspection = self._executor.submit(self._inspector.inspect, recorded)

    def _apply(self, state: TopicState) -> None:
        if not self._offsets.has_topic_ids(state.topic_ids):
            self._restart_with(state.topic_ids)
        elif self._consumer.suspended:
            self._continue(state.logs)

    def _restart_with(self, topic_ids: dict[str, str]) -> None:
        """Read recreated topics from their beginning.

        Some of their records may have been written under the old ids already. Writing them again changes nothing.
        """
        log.warning("topics were recreated", ids=topic_ids)
        self._writers.drain()
        self._offsets.set_topic_ids(topic_ids)
        self._consumer.reopen()
        self._on_topics_recreated()

    def _continue(self, logs: Mapping[Partition, LogState]) -> None:
        """Continue where the log does, and report which records are missing.

        A position that another recorder has stored in the meantime is inspected again.
        """
        self._writers.drain()
        for partition, stored in self._offsets.stored(self._consumer.suspended & logs.keys()).items():
            state = logs[partition]
            if stored == state.recorded and (reason := _missing(state)):
                self._writers.write_now(_correction(partition, state, reason))
        self._consumer.reset_positions()


def _missing(log_state: LogState) -> str:
    """Which records are missing; empty where none are."""
    recorded, following = log_state.recorded.offset, log_state.following.offset
    if recorded < log_state.start:
        return f"offsets {recorded} to {log_state.start - 1} were deleted from the log before they were recorded"
    if following < recorded:
        return (
            f"the broker lost offsets {following} to {recorded - 1}, which were recorded; others may be in their place"
        )
    return ""


def _correction(partition: Partition, log_state: LogState, reason: str) -> Batch:
    """A batch that moves the stored offset to where the log continues, and reports what is missing.

    Records that were written in the place of lost ones are new; what is read twice changes nothing.
    """
    log.error("records are missing on the log", topic=partition[0], partition=partition[1], reason=reason)
    offset = log_state.recorded.offset
    error = IngestErrorRow(*partition, offset=offset, at=int(time.time() * 1000), reason=reason, payload="")
    return Batch(next_positions={partition: log_state.following}, errors=[error])
