"""The state of the permanent topics: cluster and topic ids, and where the log continues after what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common import topics
from tapedeck_common.kafka import REQUEST_SECONDS, admin, await_result
from tapedeck_common.log_positions import LogPosition, Partition, continuations, list_offsets
from tapedeck_common.settings import Connections
from tapedeck_common.topic_ids import topic_ids

CLIENT_ID = "tapedeck-recorder"


@dataclass(frozen=True)
class LogState:
    """What a partition's log holds after ``recorded``, the position that was asked for.

    It continues at ``following``, and its first offset is ``start``.
    """

    recorded: LogPosition
    following: LogPosition
    start: int


@dataclass(frozen=True)
class TopicState:
    """The id of each standing topic, and the log of some partitions."""

    topic_ids: dict[str, str]
    logs: dict[Partition, LogState]


class TopicInspector:
    """Asks the broker and waits for its answer.

    Every call raises KafkaException, also for a missing topic, and NoTopicIds.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._client = admin(connections, CLIENT_ID)

    def cluster_id(self) -> str:
        """The id of the Kafka cluster."""
        return str(
            await_result(self._client, self._client.describe_cluster(request_timeout=REQUEST_SECONDS)).cluster_id
        )

    def topic_ids(self) -> dict[str, str]:
        """The id of each standing topic, by name."""
        return topic_ids(self._client, topics.PERMANENT_TOPICS)

    def inspect(self, recorded: Mapping[Partition, LogPosition]) -> TopicState:
        """The topic ids, and how the log continues after what was recorded of some partitions."""
        # Offsets before ids: if a topic is recreated in between, its offsets never go with the old id.
        logs = self._logs(recorded) if recorded else {}
        return TopicState(self.topic_ids(), logs)

    def _logs(self, recorded: Mapping[Partition, LogPosition]) -> dict[Partition, LogState]:
        starts = list_offsets(self._client, recorded, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        # The leader epoch before the offset: a loss after these requests is noticed later.
        ends = list_offsets(self._client, recorded, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        following = continuations(self._connections, CLIENT_ID, topics.RECORDER_GROUP, recorded)
        return {
            partition: LogState(
                recorded[partition],
                LogPosition(offset, ends[partition].leader_epoch),
                starts[partition].offset,
            )
            for partition, offset in following.items()
        }
