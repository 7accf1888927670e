"""Topic ids: they tell a topic from one that was created later under the same name."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import TopicCollection, Uuid
from confluent_kafka.admin import TopicDescription  # type: ignore[attr-defined]

from tapedeck_common.kafka import REQUEST_SECONDS, BrokerAdmin, await_result
from tapedeck_crds.errors import InvalidInput

_NONE = str(Uuid(0, 0))  # the client's value where the broker's answer has no id


class NoTopicIds(InvalidInput):
    """The broker tells no topic ids."""

    reason = "NoTopicIds"


def topic_id(topic: TopicDescription) -> str:
    """The id of a described topic. Raises NoTopicIds: offsets kept by name alone would be those of another log."""
    found = str(topic.topic_id)
    if found == _NONE:
        raise NoTopicIds(
            f"kafka_bootstrap: got a broker that tells no id of topic {topic.name}, expected one that does: Apache "
            "Kafka 2.8, Redpanda 25.2 or later, and no proxy that answers Metadata before version 10. Without ids a "
            "topic that was deleted and created again is taken for its predecessor, and records are lost; upgrade the "
            "broker or the proxy"
        )
    return found


def topic_ids(client: BrokerAdmin, names: Iterable[str]) -> dict[str, str]:
    """The id of each topic, by name. Raises NoTopicIds, and KafkaException, also for a missing topic."""
    futures = client.describe_topics(TopicCollection(list(names)), request_timeout=REQUEST_SECONDS)
    return {name: topic_id(await_result(client, future)) for name, future in futures.items()}
