"""A sink's consumer: its group's offsets are committed once the sink has accepted the points.

Each offset is committed with its topic's id as metadata: it does not apply to a topic that was recreated under the
same name.
"""

from __future__ import annotations

import contextlib

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common.kafka import consumer
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.topics import SINK_GROUP_PREFIX
from tapedeck_crds.sink import SinkOptions
from tapedeck_recorder import metrics
from tapedeck_recorder.kafka.topic_ids import TopicInspector
from tapedeck_recorder.rows.batch import Partition, message_position
from tapedeck_recorder.sinks.line_protocol import TOPICS

STEP_MESSAGES, BATCH_MESSAGES = 500, 5_000
BATCH_BYTES = 1_000_000
FILL_SECONDS = 0.05
REQUEST_SECONDS = 10.0


class SinkConsumer:
    """Reads the records of one sink, starting at its group's committed offsets."""

    def __init__(self, connections: Connections, sink: SinkOptions) -> None:
        self._sink = sink
        self._topic_ids = TopicInspector(connections).topic_ids()
        # The next offset to read and the next to deliver.
        self._read: dict[Partition, int] = {}
        self._delivered: dict[Partition, int] = {}
        self._consumer: Consumer = consumer(
            connections,
            f"tapedeck-sink-{sink.name}",
            SINK_GROUP_PREFIX + sink.name,
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
                topic, partition, offset = message_position(message)
                self._read[topic, partition] = offset + 1
            messages += valid
            size += sum(map(len, valid))
            if len(step) < STEP_MESSAGES:
                break
        return messages

    def commit(self, messages: list[Message]) -> None:
        """Commit the offsets after delivered messages. Raises KafkaException."""
        next_offsets = {message_position(message)[:2]: message_position(message)[2] + 1 for message in messages}
        self._consumer.commit(
            offsets=[
                TopicPartition(*partition, offset, metadata=self._topic_ids[partition[0]])
                for partition, offset in next_offsets.items()
            ],
            asynchronous=False,
        )
        self._delivered |= next_offsets

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
        starts = [self._start(p) for p in client.committed(partitions, timeout=REQUEST_SECONDS)]
        self._read = {(p.topic, p.partition): max(p.offset, 0) for p in starts}
        self._delivered = dict(self._read)
        client.assign(starts)

    def _start(self, committed: TopicPartition) -> TopicPartition:
        """Where to start a partition: at the committed offset, unless it belongs to an earlier topic of this name."""
        valid = committed.offset >= 0 and committed.metadata in (None, "", self._topic_ids[committed.topic])
        offset = committed.offset if valid else OFFSET_BEGINNING
        return TopicPartition(committed.topic, committed.partition, offset)

    def _is_handled_error(self, message: Message) -> bool:
        """Whether this is an offset out of range, which is handled here. Raises KafkaException for other errors."""
        error = message.error()
        if error is None:
            return False
        if error.code() != KafkaError._AUTO_OFFSET_RESET:
            raise KafkaException(error)
        self._seek_to_log_start(message_position(message)[:2])
        return True

    def _seek_to_log_start(self, partition: Partition) -> None:
        """Continue at the log's start where the log lacks the next offset, and count the lost records."""
        low, _ = self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=REQUEST_SECONDS)
        lost = max(low - self._read[partition], 0)
        metrics.SINK_LOST.labels(self._sink.name).inc(lost)
        log.error("records were deleted before delivery", sink=self._sink.name, topic=partition[0], records=lost)
        self._read[partition] = self._delivered[partition] = low
        self._consumer.seek(TopicPartition(*partition, low))
