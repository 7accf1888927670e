"""Offsets in the database, in the table ``kafka_offsets``, committed together with the rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg

from tapedeck_common.log_positions import NO_OFFSET, LogPosition, Partition
from tapedeck_crds.errors import Fenced

_INSERT = """
INSERT INTO kafka_offsets (cluster_id, topic_id, topic, partition, next_offset, leader_epoch)
SELECT %(cluster)s, topic_id, topic, partition, next_offset, leader_epoch
FROM unnest(%(ids)s::text[], %(topics)s::text[], %(partitions)s::int4[], %(next_offsets)s::int8[],
            %(leader_epochs)s::int4[])
     AS new(topic_id, topic, partition, next_offset, leader_epoch)
ON CONFLICT DO NOTHING
"""

_UPDATE = """
UPDATE kafka_offsets SET next_offset = new.next_offset, leader_epoch = new.leader_epoch
FROM unnest(%(ids)s::text[], %(topics)s::text[], %(partitions)s::int4[], %(next_offsets)s::int8[],
            %(leader_epochs)s::int4[], %(expected_offsets)s::int8[], %(expected_epochs)s::int4[])
     AS new(topic_id, topic, partition, next_offset, leader_epoch, expected_offset, expected_epoch)
WHERE kafka_offsets.cluster_id = %(cluster)s AND kafka_offsets.topic = new.topic
  AND kafka_offsets.topic_id = new.topic_id AND kafka_offsets.partition = new.partition
  AND kafka_offsets.next_offset = expected_offset
  AND kafka_offsets.leader_epoch IS NOT DISTINCT FROM expected_epoch
"""


class StoredOffsets:
    """The offsets of one Kafka cluster, keyed by cluster id, topic name and id, and partition.

    A topic that is deleted and created again under its name has another id, so its offsets start at nothing. Every
    change is a compare-and-set against the position that this recorder stored last: of two recorders that hold the same
    partition, only one commits.
    """

    def __init__(self, cluster_id: str, topic_ids: Mapping[str, str]) -> None:
        self._cluster_id = cluster_id
        self._topic_ids = topic_ids
        self._stored: dict[Partition, LogPosition] = {}

    def has_topic_ids(self, topic_ids: Mapping[str, str]) -> bool:
        """Whether these are the ids in use, by topic name."""
        return dict(self._topic_ids) == dict(topic_ids)

    def set_topic_ids(self, topic_ids: Mapping[str, str]) -> None:
        """Use other topic ids. Every batch must be written before, and ``load`` must be called after."""
        self._topic_ids = topic_ids

    def stored(self, partitions: Collection[Partition]) -> dict[Partition, LogPosition]:
        """What this recorder stored or loaded last, of partitions that were loaded."""
        return {partition: self._stored[partition] for partition in partitions}

    def ahead_of_store(self, positions: Mapping[Partition, LogPosition]) -> dict[Partition, LogPosition]:
        """The positions whose offset exceeds the stored one. Partitions that were not loaded are left out."""
        return {
            partition: position
            for partition, position in positions.items()
            if position.offset > self._stored.get(partition, position).offset
        }

    def load(
        self, connection: psycopg.Connection[Any], partitions: Sequence[Partition]
    ) -> dict[Partition, LogPosition]:
        """The next position of each partition, with NO_OFFSET for one that was never recorded."""
        self._stored = self._select(connection, partitions)
        return dict(self._stored)

    def advance(self, cursor: psycopg.Cursor[Any], next_positions: Mapping[Partition, LogPosition]) -> None:
        """Store the next positions in the caller's transaction.

        Raises Fenced where another recorder changed one of them: nothing of the transaction may be committed.
        """
        partitions = sorted(next_positions)  # all recorders lock rows in one order, so they can't deadlock
        new = [partition for partition in partitions if self._stored[partition].offset == NO_OFFSET]
        existing = [partition for partition in partitions if self._stored[partition].offset != NO_OFFSET]
        for statement, chosen in ((_INSERT, new), (_UPDATE, existing)):
            if not chosen:
                continue
            changed = cursor.execute(statement, self._parameters(chosen, next_positions)).rowcount
            if changed != len(chosen):
                raise Fenced("another recorder committed offsets of the same partitions")

    def is_committed(
        self, connection: psycopg.Connection[Any], next_positions: Mapping[Partition, LogPosition]
    ) -> bool:
        """Whether a commit took effect although the connection broke before its answer."""
        return self._select(connection, list(next_positions)) == dict(next_positions)

    def mark_committed(self, next_positions: Mapping[Partition, LogPosition]) -> None:
        """Expect these positions at the next ``advance``."""
        self._stored.update(next_positions)

    def _select(
        self, connection: psycopg.Connection[Any], partitions: Sequence[Partition]
    ) -> dict[Partition, LogPosition]:
        rows = connection.execute(
            "SELECT topic, topic_id, partition, next_offset, leader_epoch FROM kafka_offsets WHERE cluster_id = %s",
            (self._cluster_id,),
        ).fetchall()
        stored = {(row[0], row[1], row[2]): LogPosition(row[3], row[4]) for row in rows}
        return {p: stored.get((p[0], self._topic_ids[p[0]], p[1]), LogPosition()) for p in partitions}

    def _parameters(
        self, partitions: list[Partition], next_positions: Mapping[Partition, LogPosition]
    ) -> dict[str, object]:
        return {
            "cluster": self._cluster_id,
            "ids": [self._topic_ids[topic] for topic, _ in partitions],
            "topics": [topic for topic, _ in partitions],
            "partitions": [partition for _, partition in partitions],
            "next_offsets": [next_positions[partition].offset for partition in partitions],
            "leader_epochs": [next_positions[partition].leader_epoch for partition in partitions],
            "expected_offsets": [self._stored[partition].offset for partition in partitions],
            "expected_epochs": [self._stored[partition].leader_epoch for partition in partitions],
        }
