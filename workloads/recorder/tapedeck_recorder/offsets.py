"""How far the recorder is, kept in the database beside what it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from tapedeck_recorder.batch import Partition

# Where nothing was recorded of a partition yet.
NOWHERE = -1

_ADVANCE = """
INSERT INTO kafka_offsets (cluster_id, topic_id, topic, partition, next_offset) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (cluster_id, topic_id, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset
WHERE kafka_offsets.next_offset = %s
"""


class Fenced(Exception):
    """Another recorder moved a partition on: what was read here must not be written."""


class Offsets:
    """Offsets of one broker's topics. ``topic_ids`` maps names to ids, which a new topic of an old name changes."""

    def __init__(self, cluster_id: str, topic_ids: Mapping[str, str]) -> None:
        self._cluster_id = cluster_id
        self._topic_ids = topic_ids
        self._known: dict[Partition, int] = {}

    def load(self, connection: psycopg.Connection[Any], partitions: list[Partition]) -> dict[Partition, int]:
        """Where each partition goes on; NOWHERE for one that is new."""
        rows = connection.execute(
            "SELECT topic_id, partition, next_offset FROM kafka_offsets WHERE cluster_id = %s", (self._cluster_id,)
        ).fetchall()
        there = {(row[0], row[1]): row[2] for row in rows}
        found = {p: int(there.get((self._topic_ids[p[0]], p[1]), NOWHERE)) for p in partitions}
        self._known.update(found)
        return found

    def advance(self, cursor: psycopg.Cursor[Any], wanted: Mapping[Partition, int]) -> None:
        """Move on in the caller's transaction, from where this recorder left off. Raises Fenced."""
        for partition, following in wanted.items():
            topic, number = partition
            cursor.execute(
                _ADVANCE,
                (self._cluster_id, self._topic_ids[topic], topic, number, following, self._known[partition]),
            )
            if cursor.rowcount != 1:
                raise Fenced(f"{topic} partition {number} was moved on by another recorder")

    def done(self, connection: psycopg.Connection[Any], wanted: Mapping[Partition, int]) -> bool:
        """Whether a commit whose answer was lost did take effect."""
        before = dict(self._known)
        there = self.load(connection, list(wanted))
        if there == dict(wanted):
            return True
        self._known = before
        return False

    def committed(self, wanted: Mapping[Partition, int]) -> None:
        """Remember what was committed."""
        self._known.update(wanted)
