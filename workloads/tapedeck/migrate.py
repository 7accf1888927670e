"""``python -m tapedeck.migrate``: schema, standing topics and rights on them, before anything else runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

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
from tapedeck.store.rights import Account, StoreWorkload, accounts


class MigrateSettings(PodSettings):
    """Whom to give rights.

    ``kafka_users`` names the broker's user of each workload, none where empty. ``roles`` is a folder with each
    workload's DSN in a file of its name: their roles get rights on the tables, and are made with ``make_roles``.
    """

    kafka_users: dict[Workload, str] = Field(default_factory=dict)
    roles: Path | None = None
    make_roles: bool = False


@stamina.retry(on=psycopg.OperationalError, attempts=8, timeout=60.0, wait_max=5.0)
def _migrate_store(connections: Connections, roles: Mapping[StoreWorkload, Account], make: bool) -> str:
    dsn = connections.store_dsn.get_secret_value()
    if not roles:
        return migrate(dsn)
    return migrate(dsn, {workload: account.role for workload, account in roles.items()}, roles.values() if make else ())


def run(settings: MigrateSettings) -> None:
    """Migrate database and broker. Raises psycopg.Error or KafkaException after bounded retries."""
    connections = Connections.read(settings.connections)
    roles = accounts(settings.roles) if settings.roles else {}
    flavour = _migrate_store(connections, roles, settings.make_roles)
    client = admin(connections, "tapedeck-migrate")
    made = ensure_topics(client, topics.STANDING, topics.STANDING_PARTITIONS)
    grant(client, settings.kafka_users)
    log.info("migrated", store=flavour, topics_made=made)


def main() -> int:
    """Exit 0 when all is up to date, 1 with a log line where it can't be."""
    settings = MigrateSettings()
    configure(settings.log_level, workload="migrate")
    try:
        run(settings)
    except (psycopg.Error, KafkaException) as error:
        log.error("cannot migrate", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
