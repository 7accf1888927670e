"""Offsets in the database, in the table ``kafka_offsets``, committed together with the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from tapedeck_crds.errors import Fenced
from tapedeck_recorder.rows.batch import NO_OFFSET, Partition

_INSERT = """
INSERT INTO kafka_offsets (cluster_id, topic_id, topic, partition, next_offset)
SELECT %(cluster)s, topic_id, topic, partition, next_offset
FROM unnest(%(ids)s::text[], %(topics)s::text[], %(partitions)s::int4[], %(next_offsets)s::int8[])
     AS new(topic_id, topic, partition, next_offset)
ON CONFLICT DO NOTHING
"""

_UPDATE = """
UPDATE kafka_offsets SET next_offset = new.next_offset
FROM unnest(%(ids)s::text[], %(topics)s::text[], %(partitions)s::int4[], %(next_offsets)s::int8[], %(expected)s::int8[])
     AS new(topic_id, topic, partition, next_offset, expected)
WHERE kafka_offsets.cluster_id = %(cluster)s AND kafka_offsets.topic = new.topic
  AND kafka_offsets.topic_id = new.topic_id AND kafka_offsets.partition = new.partition
  AND kafka_offsets.next_offset = expected
"""


class StoredOffsets:
    """The offsets of one Kafka cluster, keyed by cluster id, topic name and id, and partition.

    A topic that is deleted and created again under its name has another id, so its offsets start at nothing. Every
    change is a compare-and-set against the offset that this recorder stored last: of two recorders that hold the same
    partition, only one commits.
    """

    def __init__(self, cluster_id: str, topic_ids: Mapping[str, str]) -> None:
        self._cluster_id = cluster_id
        self._topic_ids = topic_ids
        self._stored: dict[Partition, int] = {}

    def has_topic_ids(self, topic_ids: Mapping[str, str]) -> bool:
        """Whether these are the ids in use, by topic name."""
        return dict(self._topic_ids) == dict(topic_ids)

    def set_topic_ids(self, topic_ids: Mapping[str, str]) -> None:
        """Use other topic ids. Every batch must be written before, and ``load`` must be called after."""
        self._topic_ids = topic_ids

    def ahead_of_store(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        """The positions that exceed the stored offset. Partitions that were not loaded are left out."""
        return {
            partition: offset for partition, offset in positions.items() if offset > self._stored.get(partition, offset)
        }

    def load(self, connection: psycopg.Connection[Any], partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The next offset of each partition, NO_OFFSET for one that was never recorded."""
        self._stored = self._select(connection, partitions)
        return dict(self._stored)

    def advance(self, cursor: psycopg.Cursor[Any], next_offsets: Mapping[Partition, int]) -> None:
        """Store the next offsets in the caller's transaction.

        Raises Fenced where another recorder changed one of them: nothing of the transaction may be committed.
        """
        partitions = sorted(next_offsets)  # all recorders lock rows in one order, so they can't deadlock
        new = [partition for partition in partitions if self._stored[partition] == NO_OFFSET]
        existing = [partition for partition in partitions if self._stored[partition] != NO_OFFSET]
        for statement, chosen in ((_INSERT, new), (_UPDATE, existing)):
            if not chosen:
                continue
            changed = cursor.execute(statement, self._parameters(chosen, next_offsets)).rowcount
            if changed != len(chosen):
                raise Fenced("another recorder committed offsets of the same partitions")

    def is_committed(self, connection: psycopg.Connection[Any], next_offsets: Mapping[Partition, int]) -> bool:
        """Whether a commit took effect although the connection broke before its answer."""
        return self._select(connection, list(next_offsets)) == dict(next_offsets)

    def mark_committed(self, next_offsets: Mapping[Partition, int]) -> None:
        """Expect these offsets at the next ``advance``."""
        self._stored.update(next_offsets)

    def _select(self, connection: psycopg.Connection[Any], partitions: Sequence[Partition]) -> dict[Partition, int]:
        rows = connection.execute(
            "SELECT topic, topic_id, partition, next_offset FROM kafka_offsets WHERE cluster_id = %s",
            (self._cluster_id,),
        ).fetchall()
        stored = {(row[0], row[1], row[2]): int(row[3]) for row in rows}
        return {p: stored.get((p[0], self._topic_ids[p[0]], p[1]), NO_OFFSET) for p in partitions}

    def _parameters(self, partitions: list[Partition], next_offsets: Mapping[Partition, int]) -> dict[str, object]:
        return {
            "cluster": self._cluster_id,
            "ids": [self._topic_ids[topic] for topic, _ in partitions],
            "topics": [topic for topic, _ in partitions],
            "partitions": [partition for _, partition in partitions],
            "next_offsets": [next_offsets[partition] for partition in partitions],
            "expected": [self._stored[partition] for partition in partitions],
        }
