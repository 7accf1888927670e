"""``python -m tapedeck.migrate``: schema, standing topics and rights on them, before anything else runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import psycopg
import stamina
from confluent_kafka import KafkaException
from pydantic import Field

from tapedeck import topics
from tapedeck.kafka import admin, ensure_topics
from tapedeck.logs import configure, log
from tapedeck.rights import Workload, grant
from tapedeck.settings import Connections, PodSettings
from tapedeck.store.migrate import migrate


@stamina.retry(on=psycopg.OperationalError, attempts=8, timeout=60.0, wait_max=5.0)
def _migrate_store(connections: Connections) -> str:
    return migrate(connections.store_dsn.get_secret_value())


def run(connections: Connections, kafka_users: Mapping[Workload, str]) -> None:
    """Migrate database and broker. Raises psycopg.Error or KafkaException after bounded retries."""
    flavour = _migrate_store(connections)
    client = admin(connections, "tapedeck-migrate")
    made = ensure_topics(client, topics.STANDING, topics.STANDING_PARTITIONS)
    grant(client, kafka_users)
    log.info("migrated", store=flavour, topics_made=made)


class MigrateSettings(PodSettings):
    """``kafka_users`` names the broker's user of each workload that is to be given its rights; none where empty."""

    kafka_users: dict[Workload, str] = Field(default_factory=dict)


def main() -> int:
    """Exit 0 when all is up to date, 1 with a log line where it can't be."""
    settings = MigrateSettings()
    configure(settings.log_level, workload="migrate")
    try:
        run(Connections.read(settings.connections), settings.kafka_users)
    except (psycopg.Error, KafkaException) as error:
        log.error("cannot migrate", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
