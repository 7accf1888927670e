"""The state of the permanent topics: cluster and topic ids, and the offsets that the log holds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common import topics
from tapedeck_common.kafka import REQUEST_SECONDS, admin, await_result
from tapedeck_common.settings import Connections
from tapedeck_common.topic_ids import topic_ids
from tapedeck_recorder.rows.batch import Partition

CLIENT_ID = "tapedeck-recorder"
_LOG_ENDS = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class TopicState:
    """The id of each standing topic, and (log start, log end) offsets of some partitions."""

    topic_ids: dict[str, str]
    offset_ranges: dict[Partition, tuple[int, int]]


class TopicInspector:
    """Asks the broker and waits for its answer.

    Every call raises KafkaException, also for a missing topic, and NoTopicIds.
    """

    def __init__(self, connections: Connections) -> None:
        self._client = admin(connections, CLIENT_ID)

    def cluster_id(self) -> str:
        """The id of the Kafka cluster."""
        return str(
            await_result(self._client, self._client.describe_cluster(request_timeout=REQUEST_SECONDS)).cluster_id
        )

    def topic_ids(self) -> dict[str, str]:
        """The id of each standing topic, by name."""
        return topic_ids(self._client, topics.PERMANENT_TOPICS)

    def inspect(self, partitions: Collection[Partition]) -> TopicState:
        """The topic ids, and the offsets that the log holds of some partitions."""
        # Offsets before ids: if a topic is recreated in between, its offsets never go with the old id.
        starts, ends = (self._offsets(partitions, spec) for spec in _LOG_ENDS)
        return TopicState(self.topic_ids(), {p: (starts[p], ends[p]) for p in partitions})

    def _offsets(self, partitions: Collection[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        if not partitions:
            return {}
        request = {TopicPartition(*partition): spec for partition in partitions}
        futures = self._client.list_offsets(request, request_timeout=REQUEST_SECONDS)
        return {(p.topic, p.partition): int(await_result(self._client, future).offset) for p, future in futures.items()}
