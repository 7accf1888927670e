"""``python -m tapedeck.migrate``: schema and standing topics, before anything else runs."""

from __future__ import annotations

import sys

import psycopg
import stamina
from confluent_kafka import KafkaException

from tapedeck import topics
from tapedeck.kafka import admin, ensure_topics
from tapedeck.logs import configure, log
from tapedeck.settings import Connections, PodSettings
from tapedeck.store.migrate import migrate


@stamina.retry(on=psycopg.OperationalError, attempts=8, timeout=60.0, wait_max=5.0)
def _migrate_store(connections: Connections) -> str:
    return migrate(connections.store_dsn.get_secret_value())


def run(connections: Connections) -> None:
    """Migrate database and broker. Raises psycopg.Error or KafkaException after bounded retries."""
    flavour = _migrate_store(connections)
    made = ensure_topics(admin(connections, "tapedeck-migrate"), topics.STANDING, topics.STANDING_PARTITIONS)
    log.info("migrated", store=flavour, topics_made=made)


def main() -> int:
    """Exit 0 when all is up to date, 1 with a log line where it can't be."""
    settings = PodSettings()
    configure(settings.log_level, workload="migrate")
    try:
        run(Connections.read(settings.connections))
    except (psycopg.Error, KafkaException) as error:
        log.error("cannot migrate", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
