"""The recorder's share of the log: a group decides who reads what, the database where to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicCollection, TopicPartition

from tapedeck import topics
from tapedeck.kafka import admin, consumer, passing
from tapedeck.settings import Connections
from tapedeck_recorder import metrics
from tapedeck_recorder.batch import Partition
from tapedeck_recorder.offsets import NOWHERE, Offsets

GROUP = "tapedeck-recorder"
CLIENT = "tapedeck-recorder"
DESCRIBE_TIMEOUT = 20.0
BATCH_MESSAGES = 20_000


def read_offsets(connections: Connections) -> Offsets:
    """What names a partition for good: the cluster's and the topics' ids. Raises KafkaException."""
    client = admin(connections, CLIENT)
    cluster = client.describe_cluster(request_timeout=DESCRIBE_TIMEOUT).result(DESCRIBE_TIMEOUT)
    described = client.describe_topics(TopicCollection(list(topics.STANDING)), request_timeout=DESCRIBE_TIMEOUT)
    ids = {name: str(future.result(DESCRIBE_TIMEOUT).topic_id) for name, future in described.items()}
    return Offsets(str(cluster.cluster_id), ids)


class Reader:
    """Messages of the partitions that this recorder holds.

    ``settle`` is called before partitions are given up: when it returns, all that was read is written.
    """

    def __init__(
        self,
        connections: Connections,
        offsets: Offsets,
        connect: Callable[[], psycopg.Connection[Any]],
        settle: Callable[[], None],
    ) -> None:
        self._offsets = offsets
        self._connect = connect
        self._settle = settle
        self._consumer: Consumer = consumer(
            connections,
            CLIENT,
            GROUP,
            {"partition.assignment.strategy": "roundrobin", "session.timeout.ms": 10_000},
        )
        self.assigned: set[Partition] = set()

    def open(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            list(topics.STANDING), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def read(self, wait: float) -> list[Message]:
        """What has come, waiting for the first. Raises KafkaException for what does not pass."""
        first = self._consumer.poll(wait)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(BATCH_MESSAGES - 1, 0.02)]
        sound: list[Message] = []
        for message in messages:
            error = message.error()
            if error is None:
                sound.append(message)
            elif not passing(failure := KafkaException(error)):
                raise failure
        return [m for m in sound if (m.topic(), m.partition()) in self.assigned]

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        wanted = [(p.topic, p.partition) for p in partitions]
        with self._connect() as connection:
            places = self._offsets.load(connection, wanted)
        for place, partition in zip(wanted, partitions, strict=True):
            offset = places[place]
            partition.offset = OFFSET_BEGINNING if offset == NOWHERE else offset
        client.assign(partitions)
        self._hold(set(wanted))

    def _on_revoke(self, client: Consumer, _partitions: list[TopicPartition]) -> None:
        self._settle()
        client.unassign()
        self._hold(set())

    def _on_lost(self, client: Consumer, _partitions: list[TopicPartition]) -> None:
        # Another may hold them already: the compare-and-set of the offsets says who writes.
        client.unassign()
        self._hold(set())

    def _hold(self, partitions: set[Partition]) -> None:
        self.assigned = partitions
        metrics.PARTITIONS.set(len(partitions))
