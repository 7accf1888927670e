"""A sink's share of the log, by a consumer group of its own whose offsets move once the other store has the points.

An offset is committed with its topic's id: of a topic made anew under the old name it says nothing.
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
from tapedeck_recorder.kafka.topic_ids import Identity
from tapedeck_recorder.rows.batch import Partition, place
from tapedeck_recorder.sinks.line_protocol import TOPICS

STEP_MESSAGES, BATCH_MESSAGES = 500, 5_000
BATCH_BYTES = 1_000_000
GATHER_SECONDS = 0.05
ANSWER_SECONDS = 10.0


class Position:
    """Reads for one sink, beginning with what it lacks."""

    def __init__(self, connections: Connections, sink: SinkOptions) -> None:
        self._sink = sink
        self._topic_ids = Identity(connections).topic_ids()
        # Behind what was read, and behind what is delivered.
        self._next: dict[Partition, int] = {}
        self._done: dict[Partition, int] = {}
        self._consumer: Consumer = consumer(
            connections,
            f"tapedeck-sink-{sink.name}",
            SINK_GROUP_PREFIX + sink.name,
            {
                "queued.max.messages.kbytes": 16_384,
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_500,
                # Not "earliest": what retention deleted before it was delivered is no silent matter.
                "auto.offset.reset": "error",
            },
        )
        self._consumer.subscribe([TOPICS[kind] for kind in sink.records], on_assign=self._on_assign)

    def read(self, wait: float) -> list[Message]:
        """What has come, bounded in number and bytes. Raises KafkaException."""
        messages: list[Message] = []
        size = 0
        while len(messages) < BATCH_MESSAGES and size < BATCH_BYTES:
            some = self._consumer.consume(STEP_MESSAGES, GATHER_SECONDS if messages else wait)
            sound = [message for message in some if not self._failed(message)]
            for message in sound:
                topic, partition, offset = place(message)
                self._next[topic, partition] = offset + 1
            messages += sound
            size += sum(map(len, sound))
            if len(some) < STEP_MESSAGES:
                break
        return messages

    def commit(self, messages: list[Message]) -> None:
        """These are delivered. Raises KafkaException."""
        last = {place(message)[:2]: place(message)[2] + 1 for message in messages}
        offsets = [TopicPartition(*where, offset, metadata=self._topic_ids[where[0]]) for where, offset in last.items()]
        self._consumer.commit(offsets=offsets, asynchronous=False)
        self._done |= last

    def lag(self) -> int:
        """Messages on the log that the sink lacks, as far as is known without asking."""
        waiting = 0
        for at in self._consumer.position([TopicPartition(*where) for where in self._next]):
            where = (at.topic, at.partition)
            # Where nothing is in hand, behind what transactions leave on the log too.
            following = (
                self._done[where] if self._done[where] < self._next[where] else max(at.offset, self._next[where])
            )
            with contextlib.suppress(KafkaException):
                low, high = self._consumer.get_watermark_offsets(TopicPartition(*where), cached=True)
                waiting += max(high - max(following, low), 0)
        return waiting

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        starts = [self._start(p) for p in client.committed(partitions, timeout=ANSWER_SECONDS)]
        self._next = {(p.topic, p.partition): max(p.offset, 0) for p in starts}
        self._done = dict(self._next)
        client.assign(starts)

    def _start(self, committed: TopicPartition) -> TopicPartition:
        known = committed.offset >= 0 and committed.metadata in (None, "", self._topic_ids[committed.topic])
        offset = committed.offset if known else OFFSET_BEGINNING
        return TopicPartition(committed.topic, committed.partition, offset)

    def _failed(self, message: Message) -> bool:
        """Whether this is no message but an error that was seen to. Raises KafkaException for one that was not."""
        error = message.error()
        if error is None:
            return False
        if error.code() != KafkaError._AUTO_OFFSET_RESET:
            raise KafkaException(error)
        self._begin_again(place(message)[:2])
        return True

    def _begin_again(self, where: Partition) -> None:
        """Go on at the log's beginning where it no longer has, or not yet again, what comes next."""
        low, _ = self._consumer.get_watermark_offsets(TopicPartition(*where), timeout=ANSWER_SECONDS)
        lost = max(low - self._next[where], 0)
        metrics.SINK_LOST.labels(self._sink.name).inc(lost)
        log.error("records left the log before a sink got them", sink=self._sink.name, topic=where[0], lost=lost)
        self._next[where] = self._done[where] = low
        self._consumer.seek(TopicPartition(*where, low))
