"""What names the log's partitions for good: ids, which a topic made anew under an old name changes."""

from __future__ import annotations

from confluent_kafka import TopicCollection

from tapedeck import topics
from tapedeck.kafka import admin
from tapedeck.settings import Connections

CLIENT = "tapedeck-recorder"


class Identity:
    """Asks the broker. Each call raises KafkaException, also where a standing topic is missing."""

    def __init__(self, connections: Connections) -> None:
        self._client = admin(connections, CLIENT)

    def cluster_id(self, timeout: float) -> str:
        """Which cluster this is."""
        return str(self._client.describe_cluster(request_timeout=timeout).result(timeout).cluster_id)

    def topic_ids(self, timeout: float) -> dict[str, str]:
        """Name → id of each standing topic."""
        asked = self._client.describe_topics(TopicCollection(list(topics.STANDING)), request_timeout=timeout)
        return {name: str(future.result(timeout).topic_id) for name, future in asked.items()}
