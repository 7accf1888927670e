"""How far the recorder is, kept in the database beside what it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from tapedeck_crds.errors import Fenced
from tapedeck_recorder.rows.batch import Partition

# Where nothing was recorded of a partition yet.
NOWHERE = -1

_BEGIN = """
INSERT INTO kafka_offsets (cluster_id, topic_id, topic, partition, next_offset)
SELECT %(cluster)s, topic_id, topic, partition, following
FROM unnest(%(ids)s::text[], %(topics)s::text[], %(partitions)s::int4[], %(followings)s::int8[])
     AS wanted(topic_id, topic, partition, following)
ON CONFLICT DO NOTHING
"""

_ADVANCE = """
UPDATE kafka_offsets SET next_offset = following
FROM unnest(%(ids)s::text[], %(partitions)s::int4[], %(followings)s::int8[], %(expected)s::int8[])
     AS wanted(topic_id, partition, following, expected)
WHERE kafka_offsets.cluster_id = %(cluster)s AND kafka_offsets.topic_id = wanted.topic_id
  AND kafka_offsets.partition = wanted.partition AND kafka_offsets.next_offset = expected
"""


class Offsets:
    """Offsets of one broker's topics. ``topic_ids`` maps names to ids, which a new topic of an old name changes."""

    def __init__(self, cluster_id: str, topic_ids: Mapping[str, str]) -> None:
        self._cluster_id = cluster_id
        self._topic_ids = topic_ids
        self._known: dict[Partition, int] = {}

    def named(self, topic_ids: Mapping[str, str]) -> bool:
        """Whether the topics still have these ids."""
        return dict(self._topic_ids) == dict(topic_ids)

    def rename(self, topic_ids: Mapping[str, str]) -> None:
        """Take other ids; what was handed over must be written, and ``load`` comes next."""
        self._topic_ids = topic_ids

    def behind(self, places: Mapping[Partition, int]) -> dict[Partition, int]:
        """Those of some places that are further than the store; what was not loaded is not said to be."""
        return {place: offset for place, offset in places.items() if offset > self._known.get(place, offset)}

    def load(self, connection: psycopg.Connection[Any], partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Where each partition goes on; NOWHERE for one that is new. Moves start from there."""
        self._known = self._read(connection, partitions)
        return dict(self._known)

    def advance(self, cursor: psycopg.Cursor[Any], wanted: Mapping[Partition, int]) -> None:
        """Move on in the caller's transaction, from where this recorder left off. Raises Fenced."""
        places = sorted(wanted)  # one order for all, so that two recorders never wait for one another
        fresh = [place for place in places if self._known[place] == NOWHERE]
        old = [place for place in places if self._known[place] != NOWHERE]
        for statement, some in ((_BEGIN, fresh), (_ADVANCE, old)):
            if some and cursor.execute(statement, self._parameters(some, wanted)).rowcount != len(some):
                raise Fenced("another recorder went on from the same offset")

    def done(self, connection: psycopg.Connection[Any], wanted: Mapping[Partition, int]) -> bool:
        """Whether a commit whose answer was lost did take effect."""
        return self._read(connection, list(wanted)) == dict(wanted)

    def committed(self, wanted: Mapping[Partition, int]) -> None:
        """Remember what was committed."""
        self._known.update(wanted)

    def _read(self, connection: psycopg.Connection[Any], partitions: Sequence[Partition]) -> dict[Partition, int]:
        rows = connection.execute(
            "SELECT topic_id, partition, next_offset FROM kafka_offsets WHERE cluster_id = %s", (self._cluster_id,)
        ).fetchall()
        there = {(row[0], row[1]): int(row[2]) for row in rows}
        return {p: there.get((self._topic_ids[p[0]], p[1]), NOWHERE) for p in partitions}

    def _parameters(self, places: list[Partition], wanted: Mapping[Partition, int]) -> dict[str, Any]:
        return {
            "cluster": self._cluster_id,
            "ids": [self._topic_ids[topic] for topic, _ in places],
            "topics": [topic for topic, _ in places],
            "partitions": [partition for _, partition in places],
            "followings": [wanted[place] for place in places],
            "expected": [self._known[place] for place in places],
        }
