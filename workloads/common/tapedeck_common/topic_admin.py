"""The topics that stand whatever runs: made, and kept as long as they are told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import stamina
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tapedeck_common import topics
from tapedeck_common.kafka import answer, ensure_topics, passing

StandingTopic = Literal[
    "market.trades", "market.tickers", "market.bars", "market.ingest", "market.points", "backtest.results"
]
ANSWER_SECONDS = 20.0
HOUR_MS = 3_600_000


def ensure_standing(client: AdminClient, replication: int, retention_hours: Mapping[StandingTopic, int]) -> list[str]:
    """Make the topics that are missing and set how long each keeps its records; returns those it made.

    ``replication`` -1 is the broker's default; a topic that is there keeps its own. A topic at 0 hours goes by the
    broker's default, one that is not named is left as it is. Raises KafkaException.
    """
    made = ensure_topics(client, topics.STANDING, topics.STANDING_PARTITIONS, replication=replication)
    if retention_hours:
        _keep(client, retention_hours)
    return made


@stamina.retry(on=passing, attempts=8, timeout=30.0, wait_max=3.0)
def _keep(client: AdminClient, hours: Mapping[StandingTopic, int]) -> None:
    changes = [
        ConfigResource(
            ResourceType.TOPIC,
            name,
            incremental_configs=[
                ConfigEntry(
                    "retention.ms",
                    str(kept * HOUR_MS) if kept else None,
                    incremental_operation=AlterConfigOpType.SET if kept else AlterConfigOpType.DELETE,
                )
            ],
        )
        for name, kept in hours.items()
    ]
    for future in client.incremental_alter_configs(changes, request_timeout=ANSWER_SECONDS).values():
        answer(client, future, ANSWER_SECONDS)
