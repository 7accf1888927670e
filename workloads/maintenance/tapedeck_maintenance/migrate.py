"""``python -m tapedeck_maintenance.migrate``: schema, standing topics and rights on them, before anything else runs."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
import stamina
from confluent_kafka import KafkaException
from pydantic import Field, NonNegativeInt

from tapedeck_common.kafka import admin
from tapedeck_common.kafka_acls import Workload, grant
from tapedeck_common.logs import configure, log
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.store.database import connect
from tapedeck_common.store.retention import Keepable, set_policies
from tapedeck_common.store.roles import ROLES, accounts
from tapedeck_common.store.schema_upgrade import migrate
from tapedeck_common.topic_admin import StandingTopic, ensure_standing


class MigrateSettings(PodSettings):
    """How long things are kept, and whom to give rights.

    ``retention_days`` by table sets TimescaleDB's policies, ``retention_hours`` by topic the broker's; 0 turns one
    off, what is not named is left alone. ``replication`` is that of topics to be made, -1 the broker's default.
    ``kafka_users`` names the broker's user of each workload, none where empty. ``roles`` is a folder with each
    workload's DSN in a file of its name: their roles get rights on the tables, and are made with ``make_roles``.
    """

    retention_days: dict[Keepable, NonNegativeInt] = Field(default_factory=dict)
    retention_hours: dict[StandingTopic, NonNegativeInt] = Field(default_factory=dict)
    replication: int = Field(default=-1, ge=-1)
    kafka_users: dict[Workload, str] = Field(default_factory=dict)
    roles: Path | None = None
    make_roles: bool = False


@stamina.retry(on=psycopg.OperationalError, attempts=8, timeout=60.0, wait_max=5.0)
def _migrate_store(settings: MigrateSettings, connections: Connections) -> str:
    dsn = connections.store_dsn.get_secret_value()
    given = accounts(settings.roles) if settings.roles else {}
    roles = {workload: account.role for workload, account in given.items()} or ROLES
    flavour = migrate(dsn, roles, given.values() if settings.make_roles else ())
    with connect(connections, name="tapedeck-migrate", autocommit=True) as connection:
        set_policies(connection, flavour, settings.retention_days)
    return flavour


def run(settings: MigrateSettings) -> None:
    """Migrate database and broker. Raises psycopg.Error or KafkaException after bounded retries."""
    connections = Connections.read(settings.connections)
    flavour = _migrate_store(settings, connections)
    client = admin(connections, "tapedeck-migrate")
    made = ensure_standing(client, settings.replication, settings.retention_hours)
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
