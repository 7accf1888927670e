"""What names the log's partitions for good: ids, which a topic made anew under an old name changes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common import topics
from tapedeck_common.kafka import REQUEST_SECONDS, admin, answer
from tapedeck_common.settings import Connections
from tapedeck_recorder.rows.batch import Partition

CLIENT = "tapedeck-recorder"
_ENDS = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Seen:
    """Each standing topic's id, and of some partitions the first offset and the one behind the last."""

    topic_ids: dict[str, str]
    held: dict[Partition, tuple[int, int]]


class Identity:
    """Asks the broker, and waits for it. Each call raises KafkaException, also where a standing topic is missing."""

    def __init__(self, connections: Connections) -> None:
        self._client = admin(connections, CLIENT)

    def cluster_id(self) -> str:
        """Which cluster this is."""
        return str(answer(self._client, self._client.describe_cluster(request_timeout=REQUEST_SECONDS)).cluster_id)

    def topic_ids(self) -> dict[str, str]:
        """Name → id of each standing topic."""
        asked = self._client.describe_topics(TopicCollection(list(topics.STANDING)), request_timeout=REQUEST_SECONDS)
        return {name: str(answer(self._client, future).topic_id) for name, future in asked.items()}

    def look(self, places: Collection[Partition]) -> Seen:
        """The ids, and what the log holds of some partitions."""
        # In this order: what is held by a topic made anew in between is never taken for the old one's.
        lows, highs = (self._offsets(places, spec) for spec in _ENDS)
        return Seen(self.topic_ids(), {place: (lows[place], highs[place]) for place in places})

    def _offsets(self, places: Collection[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        if not places:
            return {}
        wanted = {TopicPartition(*place): spec for place in places}
        asked = self._client.list_offsets(wanted, request_timeout=REQUEST_SECONDS)
        return {
            (place.topic, place.partition): int(answer(self._client, future).offset) for place, future in asked.items()
        }
