"""The recorder's share of the log: a group decides who reads what, the database where to go on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)

from tapedeck import topics
from tapedeck.kafka import admin, consumer, error_of, passing
from tapedeck.logs import log
from tapedeck.settings import Connections
from tapedeck_recorder import metrics
from tapedeck_recorder.batch import Partition
from tapedeck_recorder.offsets import NOWHERE, Offsets

CLIENT = "tapedeck-recorder"
# The client answers by itself once a request is late, with an error that is known to pass: it gets to say so first.
DESCRIBE_TIMEOUT, ANSWER_TIMEOUT = 3.0, 10.0
BATCH_MESSAGES = 20_000
GATHER_SECONDS = 0.02
# Messages are made with the interpreter's lock held: in small steps, the writers get their turns in between.
STEP_MESSAGES = 1_000


def read_offsets(connections: Connections) -> Offsets:
    """What names a partition for good: the cluster's and the topics' ids. Raises KafkaException."""
    client = admin(connections, CLIENT)
    cluster = client.describe_cluster(request_timeout=DESCRIBE_TIMEOUT).result(ANSWER_TIMEOUT)
    described = client.describe_topics(TopicCollection(list(topics.STANDING)), request_timeout=DESCRIBE_TIMEOUT)
    ids = {name: str(future.result(ANSWER_TIMEOUT).topic_id) for name, future in described.items()}
    return Offsets(str(cluster.cluster_id), ids)


class Reader:
    """Messages of the partitions that this recorder holds.

    ``settle`` is called before partitions are given up: when it returns, what was read is written.
    ``load`` says where partitions go on.
    """

    def __init__(
        self,
        connections: Connections,
        load: Callable[[list[Partition]], dict[Partition, int]],
        settle: Callable[[], None],
    ) -> None:
        self._load = load
        self._settle = settle
        self._consumer: Consumer = consumer(
            connections,
            CLIENT,
            topics.RECORDER_GROUP,
            {
                "partition.assignment.strategy": "roundrobin",
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_500,
            },
        )
        self._moves = 0
        self.assigned: set[Partition] = set()

    def open(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            list(topics.STANDING), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def read(self, wait: float) -> list[Message]:
        """What has come, waiting for the first. Raises KafkaException for what does not pass."""
        moves = self._moves
        first = self._consumer.poll(wait)
        if first is None:
            return []
        messages = [first]
        deadline = time.monotonic() + GATHER_SECONDS
        while len(messages) < BATCH_MESSAGES:
            some = self._consumer.consume(STEP_MESSAGES, max(deadline - time.monotonic(), 0.0))
            messages += some
            if len(some) < STEP_MESSAGES:
                break
        if any(message.error() for message in messages):
            messages = [message for message in messages if not _failed(message)]
        if moves != self._moves:
            # Read before and after partitions were given out anew: begin again where the store is.
            if self.assigned:
                self._go_on(self._consumer, sorted(self.assigned))
            return []
        return messages

    def measure(self) -> None:
        """Tell the metrics how many messages wait on the log, as far as is known without asking."""
        waiting = 0
        for place in self._consumer.position([TopicPartition(*p) for p in self.assigned]):
            with contextlib.suppress(KafkaException):
                _, high = self._consumer.get_watermark_offsets(place, cached=True)
                waiting += max(high - max(place.offset, 0), 0)
        metrics.LAG.set(waiting)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._go_on(client, [(p.topic, p.partition) for p in partitions])

    def _on_revoke(self, client: Consumer, _partitions: list[TopicPartition]) -> None:
        # Where they are lost another may hold them already: then the offsets' compare-and-set says who writes.
        try:
            self._settle()
        finally:
            self._hold(set())
            client.unassign()

    def _go_on(self, client: Consumer, places: list[Partition]) -> None:
        found = self._load(places)
        client.assign([TopicPartition(*p, OFFSET_BEGINNING if found[p] == NOWHERE else found[p]) for p in places])
        self._hold(set(places))

    def _hold(self, partitions: set[Partition]) -> None:
        self._moves += 1
        self.assigned = partitions
        metrics.PARTITIONS.set(len(partitions))


def _failed(message: Message) -> bool:
    """Whether this is no message but an error, which passes. Raises KafkaException for one that does not."""
    error = message.error()
    if error is None:
        return False
    failure = KafkaException(error)
    # A broker that has just started may not know its topics yet.
    if not passing(failure) and error_of(failure).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise failure
    log.warning("the broker is away", reason=str(error))
    return True
