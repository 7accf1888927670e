"""The recorder's consumer: the group assigns partitions, the database holds the offsets to start from."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

import stamina
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tapedeck_common import topics
from tapedeck_common.kafka import admin, consumer, is_transient, kafka_error
from tapedeck_common.log_positions import (
    LogPosition,
    Partition,
    continuations,
    from_topic_partition,
    leader_epochs,
    message_partition,
    of_later_leaders,
    to_topic_partition,
)
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_recorder import metrics
from tapedeck_recorder.kafka.topic_ids import CLIENT_ID
from tapedeck_recorder.lag import LAG, PartitionEnd

BATCH_MESSAGES = 20_000
# Several batches are in memory at a time. Bars reach the limit of messages first, large results this one.
BATCH_BYTES = 8_000_000
FILL_SECONDS = 0.02
POSITION_RESET_SECONDS = 10.0
FETCH_WAIT_MS = 2_000  # of a request where nothing is new: a record ends it, and no reader waits for the recorder's
# The client creates messages while it holds the interpreter's lock: between small steps the writer threads run.
STEP_MESSAGES = 1_000


class RecordConsumer:
    """Reads the partitions that the group assigned to this recorder.

    ``drain`` is called before partitions are revoked: when it returns, everything read is committed.
    ``load_positions`` returns the next position of each partition. ``suspended`` are the partitions that are not read
    until ``reset_positions``: their log does not continue at that position, or may not, since it has another leader.
    """

    def __init__(
        self,
        connections: Connections,
        load_positions: Callable[[list[Partition]], dict[Partition, LogPosition]],
        drain: Callable[[], None],
    ) -> None:
        self._connections = connections
        self._load_positions = load_positions
        self._drain = drain
        self._consumer = self._new_client()
        self._admin = admin(connections, CLIENT_ID)
        self._leaders: Mapping[Partition, int | None] = {}  # their epochs, when the positions were compared
        self._assignments = 0
        self.assigned: set[Partition] = set()
        self.suspended: set[Partition] = set()

    def open(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            list(topics.PERMANENT_TOPICS), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def reopen(self) -> None:
        """Join the group with a new client, which has no memory of the topics.

        librdkafka ignores a leader epoch that is lower than the last one it saw. A recreated topic's epochs start at
        0, so a client that has read the topic before would never read it again.
        """
        self.close()
        self._set_assigned(set())
        self._consumer = self._new_client()
        self.open()

    def read(self, wait: float) -> list[Message]:
        """The next messages, waiting up to ``wait`` seconds for the first. Raises KafkaException if not transient."""
        assignments = self._assignments
        first = self._consumer.poll(wait)
        if first is None:
            return []
        messages, size = [first], len(first)
        deadline = time.monotonic() + FILL_SECONDS
        while len(messages) < BATCH_MESSAGES and size < BATCH_BYTES:
            # As many as fit if they are as large as the messages so far.
            step = min(STEP_MESSAGES, (BATCH_BYTES - size) * len(messages) // max(size, 1) + 1)
            more = self._consumer.consume(step, max(deadline - time.monotonic(), 0.0))
            messages += more
            size += sum(map(len, more))
            if len(more) < step:
                break
        if any(map(Message.error, messages)):
            messages = [message for message in messages if not self._is_error(message)]
        if assignments != self._assignments:
            # Partitions were reassigned while these were read: start again at the stored offsets.
            self.reset_positions()
            return []
        self.suspended |= of_later_leaders(messages, self._leaders)
        if self.suspended:
            messages = [message for message in messages if message_partition(message) not in self.suspended]
        return messages

    def reset_positions(self) -> None:
        """Continue at the stored offsets. Everything read must be committed."""
        if self.assigned:
            self._assign(self._consumer, sorted(self.assigned))

    def positions(self) -> dict[Partition, LogPosition]:
        """The next position to read, after the last message and after transaction markers."""
        readable = self.assigned - self.suspended
        positions = self._consumer.position([TopicPartition(*partition) for partition in readable])
        return {(p.topic, p.partition): from_topic_partition(p) for p in positions if p.offset >= 0}

    def export_lag(self) -> None:
        """Tell the lag's metrics what the client knows without a request to the broker."""
        ends: dict[Partition, PartitionEnd] = {}
        for partition, position in self.positions().items():
            with contextlib.suppress(KafkaException):
                low, high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
                ends[partition] = PartitionEnd(low, high, position.offset)
        LAG.see(ends)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _new_client(self) -> Consumer:
        return consumer(
            self._connections,
            CLIENT_ID,
            topics.RECORDER_GROUP,
            {
                "partition.assignment.strategy": "roundrobin",
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_500,
                # Not "earliest": records deleted before they were recorded must be reported.
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                # Of each partition; 100,000 by default. Of more, each has left the processor's cache when it is read.
                "queued.min.messages": BATCH_MESSAGES,
            },
        )

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._assign(client, [(p.topic, p.partition) for p in partitions])

    def _on_revoke(self, client: Consumer, _partitions: list[TopicPartition]) -> None:
        # If they are lost, another recorder may hold them already: the compare-and-set of offsets decides who writes.
        try:
            self._drain()
        finally:
            self._set_assigned(set())
            LAG.assign({})
            client.unassign()

    def _assign(self, client: Consumer, partitions: list[Partition]) -> None:
        positions = self._load_positions(partitions)
        self._leaders, lost = self._compare(positions)
        readable = [partition for partition in partitions if partition not in lost]
        client.assign([to_topic_partition(partition, positions[partition]) for partition in readable])
        _wait_for_position_reset(client, readable)
        self._set_assigned(set(partitions))
        LAG.assign(positions)
        self.suspended |= lost

    @stamina.retry(on=is_transient, attempts=6, timeout=30.0)  # a new topic has no leader yet
    def _compare(
        self, positions: Mapping[Partition, LogPosition]
    ) -> tuple[Mapping[Partition, int | None], set[Partition]]:
        """The leaders' epochs, and the partitions that no longer hold the record before a position."""
        leaders = leader_epochs(self._admin, positions)  # first: a loss after this request is noticed by ``read``
        found = continuations(self._connections, CLIENT_ID, topics.RECORDER_GROUP, positions)
        return leaders, {partition for partition, offset in found.items() if offset < positions[partition].offset}

    def _set_assigned(self, partitions: set[Partition]) -> None:
        self._assignments += 1
        self.assigned = partitions
        self.suspended.clear()
        metrics.PARTITIONS.set(len(partitions))

    def _is_error(self, message: Message) -> bool:
        """Whether this is a transient error and not a message. Raises KafkaException for other errors."""
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self.suspended.add(message_partition(message))
            return True
        failure = KafkaException(error)
        # A broker that has just started may not know its topics yet.
        if not is_transient(failure) and kafka_error(failure).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise failure
        log.warning("broker unreachable", reason=str(error))
        return True


def _wait_for_position_reset(client: Consumer, partitions: list[Partition]) -> None:
    """Wait until the client reports no position from before ``assign``.

    Such a position is after messages that were fetched and never returned: taking it for recorded would lose them.
    """
    request = [TopicPartition(*partition) for partition in partitions]
    deadline = time.monotonic() + POSITION_RESET_SECONDS
    while any(p.offset >= 0 for p in client.position(request)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the Kafka client kept its old positions for {POSITION_RESET_SECONDS:g} s after assign")
        time.sleep(0.001)
