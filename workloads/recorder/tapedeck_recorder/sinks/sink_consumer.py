"""A sink's consumer: its group's offsets are committed once the sink has accepted the points.

Each offset is committed with its topic's id as metadata: it does not apply to a topic that was recreated under the
same name.
"""

from __future__ import annotations

import contextlib

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common.kafka import admin, consumer
from tapedeck_common.log_positions import (
    LogPosition,
    Partition,
    continuations,
    from_topic_partition,
    leader_epochs,
    message_partition,
    of_later_leaders,
    position_after,
    to_topic_partition,
)
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.topics import SINK_GROUP_PREFIX
from tapedeck_crds.sink import SinkOptions
from tapedeck_recorder import metrics
from tapedeck_recorder.kafka.topic_ids import TopicInspector
from tapedeck_recorder.sinks.line_protocol import TOPICS

STEP_MESSAGES, BATCH_MESSAGES = 500, 5_000
BATCH_BYTES = 1_000_000
FILL_SECONDS = 0.05
REQUEST_SECONDS = 10.0


class SinkConsumer:
    """Reads the records of one sink, starting at its group's committed offsets."""

    def __init__(self, connections: Connections, sink: SinkOptions) -> None:
        self._connections = connections
        self._sink = sink
        self._client_id, self._group = f"tapedeck-sink-{sink.name}", SINK_GROUP_PREFIX + sink.name
        self._topic_ids = TopicInspector(connections).topic_ids()
        # The next offset to read and the next to deliver.
        self._read: dict[Partition, int] = {}
        self._delivered: dict[Partition, int] = {}
        self._leaders: dict[Partition, int | None] = {}  # their epochs, when the committed offsets were compared
        self._consumer: Consumer = consumer(
            connections,
            self._client_id,
            self._group,
            {
                "queued.max.messages.kbytes": 16_384,
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_500,
                # Not "earliest": records that retention deleted before delivery must be counted.
                "auto.offset.reset": "error",
            },
        )
        self._consumer.subscribe([TOPICS[kind] for kind in sink.records], on_assign=self._on_assign)

    def read(self, wait: float) -> list[Message]:
        """The next messages, at most BATCH_MESSAGES and about BATCH_BYTES. Raises KafkaException."""
        messages: list[Message] = []
        size = 0
        while len(messages) < BATCH_MESSAGES and size < BATCH_BYTES:
            step = self._consumer.consume(STEP_MESSAGES, FILL_SECONDS if messages else wait)
            valid = [message for message in step if not self._is_handled_error(message)]
            for message in valid:
                self._read[message_partition(message)] = position_after(message).offset
            messages += valid
            size += sum(map(len, valid))
            if len(step) < STEP_MESSAGES:
                break
        return messages

    def has_later_leader(self, messages: list[Message]) -> bool:
        """Whether these may be in the place of delivered ones: the next consumer starts where the log continues."""
        return bool(of_later_leaders(messages, self._leaders))

    def commit(self, messages: list[Message]) -> None:
        """Commit the offsets after delivered messages. Raises KafkaException."""
        following = {message_partition(message): position_after(message) for message in messages}
        self._consumer.commit(
            offsets=[
                to_topic_partition(partition, position, self._topic_ids[partition[0]])
                for partition, position in following.items()
            ],
            asynchronous=False,
        )
        self._delivered |= {partition: position.offset for partition, position in following.items()}

    def lag(self) -> int:
        """Messages on the log that the sink lacks, from what the client knows without a request to the broker."""
        lag = 0
        for position in self._consumer.position([TopicPartition(*partition) for partition in self._read]):
            partition = (position.topic, position.partition)
            read, delivered = self._read[partition], self._delivered[partition]
            # If everything read is delivered, the position may also be after transaction markers.
            next_offset = delivered if delivered < read else max(position.offset, read)
            with contextlib.suppress(KafkaException):
                low, high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
                lag += max(high - max(next_offset, low), 0)
        return lag

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        committed = client.committed(partitions, timeout=REQUEST_SECONDS)
        starts = {(each.topic, each.partition): self._start(each) for each in committed}
        self._leaders = leader_epochs(admin(self._connections, self._client_id), starts, REQUEST_SECONDS)
        starts = self._before_loss(starts)
        self._read = {partition: max(position.offset, 0) for partition, position in starts.items()}
        self._delivered = dict(self._read)
        client.assign([to_topic_partition(partition, position) for partition, position in starts.items()])

    def _start(self, committed: TopicPartition) -> LogPosition:
        """Where to start a partition: at the committed offset, unless it belongs to an earlier topic of this name."""
        valid = committed.metadata in (None, "", self._topic_ids[committed.topic])
        return from_topic_partition(committed) if valid else LogPosition()

    def _before_loss(self, starts: dict[Partition, LogPosition]) -> dict[Partition, LogPosition]:
        """Start earlier where the broker lost delivered records: others may be in their place."""
        starts = dict(starts)
        for partition, offset in continuations(self._connections, self._client_id, self._group, starts).items():
            if offset < (start := starts[partition]).offset:
                log.error("the broker lost delivered records", sink=self._sink.name, topic=partition[0], offset=offset)
                starts[partition] = LogPosition(offset, start.leader_epoch)
        return starts

    def _is_handled_error(self, message: Message) -> bool:
        """Whether records were deleted, which is handled here. Raises KafkaException for other errors."""
        error = message.error()
        if error is None:
            return False
        if error.code() != KafkaError._AUTO_OFFSET_RESET:
            raise KafkaException(error)
        partition = message_partition(message)
        low, _ = self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=REQUEST_SECONDS)
        if low <= self._read[partition]:  # the broker lost records: the next consumer starts before them
            raise KafkaException(error)
        self._seek_to_log_start(partition, low)
        return True

    def _seek_to_log_start(self, partition: Partition, low: int) -> None:
        """Continue at the log's start, and count the records that were deleted before they were delivered."""
        lost = low - self._read[partition]
        metrics.SINK_LOST.labels(self._sink.name).inc(lost)
        log.error("records were deleted before delivery", sink=self._sink.name, topic=partition[0], records=lost)
        self._read[partition] = self._delivered[partition] = low
        self._consumer.seek(TopicPartition(*partition, low))
