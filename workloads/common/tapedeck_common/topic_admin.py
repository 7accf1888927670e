"""Creating topics, and the retention of those that exist for the life of an installation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import stamina
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from tapedeck_common import topics
from tapedeck_common.kafka import BrokerAdmin, await_result, is_transient, kafka_error

PermanentTopic = Literal[
    "market.trades", "market.tickers", "market.bars", "market.ingest", "market.points", "backtest.results"
]
REQUEST_SECONDS = 20.0
HOUR_MS = 3_600_000


@stamina.retry(on=is_transient, attempts=8, timeout=30.0, wait_max=3.0)
def ensure_topics(
    client: BrokerAdmin,
    names: Iterable[str],
    partitions: int,
    *,
    replication: int = -1,
    config: Mapping[str, str] | None = None,
) -> list[str]:
    """Create the topics that do not exist; returns the names of those it created. Raises KafkaException."""
    new_topics = [
        NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(config or {}))
        for name in names
    ]
    created: list[str] = []
    for name, future in client.create_topics(new_topics, operation_timeout=15, request_timeout=20).items():
        try:
            await_result(client, future, REQUEST_SECONDS)
            created.append(name)
        except KafkaException as error:
            if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return created


def ensure_permanent_topics(
    client: BrokerAdmin, replication: int, retention_hours: Mapping[PermanentTopic, int]
) -> list[str]:
    """Create the permanent topics that do not exist and set their retention; returns the names of those it created.

    ``replication`` -1 is the broker's default; an existing topic keeps its own. 0 hours means the broker's default
    retention; the retention of a topic that is not named is left unchanged. Raises KafkaException.
    """
    created = ensure_topics(client, topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS, replication=replication)
    if retention_hours:
        _set_retention(client, retention_hours)
    return created


@stamina.retry(on=is_transient, attempts=8, timeout=30.0, wait_max=3.0)
def _set_retention(client: BrokerAdmin, retention_hours: Mapping[PermanentTopic, int]) -> None:
    changes = [
        ConfigResource(
            ResourceType.TOPIC,
            name,
            incremental_configs=[
                ConfigEntry(
                    "retention.ms",
                    str(hours * HOUR_MS) if hours else None,
                    incremental_operation=AlterConfigOpType.SET if hours else AlterConfigOpType.DELETE,
                )
            ],
        )
        for name, hours in retention_hours.items()
    ]
    for future in client.incremental_alter_configs(changes, request_timeout=REQUEST_SECONDS).values():
        await_result(client, future, REQUEST_SECONDS)
