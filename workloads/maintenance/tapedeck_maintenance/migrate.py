"""``python -m tapedeck_maintenance.migrate``: create or upgrade the schema, the permanent topics and their privileges.

Runs before anything else. Exits 0 once all is up to date, and 1 where the broker or the database did not allow it.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import stamina
from confluent_kafka import KafkaError, KafkaException
from pydantic import Field, NonNegativeInt

from tapedeck_common.kafka import BrokerAdmin, admin, is_transient, kafka_error
from tapedeck_common.kafka_acls import create_acls
from tapedeck_common.kafka_users import KafkaUser, create_users, read_passwords
from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload, run_pod
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.store.database import connect
from tapedeck_common.store.editions import Edition
from tapedeck_common.store.retention import RetainedTable, set_retention_policies
from tapedeck_common.store.roles import ROLES, read_credentials
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.topic_admin import PermanentTopic, ensure_permanent_topics
from tapedeck_common.topic_ids import topic_ids
from tapedeck_common.topics import PERMANENT_TOPICS
from tapedeck_crds.report import Report


class MigrateSettings(PodSettings):
    """Retention, and the users that get privileges.

    ``retention_days`` by table sets TimescaleDB's policies, ``retention_hours`` by topic those of the broker; 0 removes
    one, and what is not named is left unchanged. ``replication`` is that of new topics, -1 the broker's default.
    ``kafka_users`` are the broker's users of the workloads, which get ACLs; with ``kafka_passwords``, a folder with a
    file for each, they are created. ``roles`` is a folder with the credentials of each workload (``read_credentials``):
    these roles get privileges on the tables, and with ``make_roles`` they are created.
    """

    retention_days: dict[RetainedTable, NonNegativeInt] = Field(default_factory=dict)
    retention_hours: dict[PermanentTopic, NonNegativeInt] = Field(default_factory=dict)
    replication: int = Field(default=-1, ge=-1)
    kafka_users: tuple[KafkaUser, ...] = ()
    kafka_passwords: Path | None = None
    roles: Path | None = None
    make_roles: bool = False


class Migration(Workload):
    """Brings database and broker up to date."""

    def __init__(self, settings: MigrateSettings) -> None:
        super().__init__()
        self._settings = settings

    def report(self) -> Report:
        """Running: there is no progress to report."""
        return Report(state="running")

    def run(self) -> None:
        """Migrate database and broker. Raises psycopg.Error or KafkaException after bounded retries, and NoTopicIds."""
        settings = self._settings
        connections = Connections.read(settings.connections)
        edition = _migrate_store(settings, connections)
        client = admin(connections, "tapedeck-migrate")
        created = ensure_permanent_topics(client, settings.replication, settings.retention_hours)
        _check_topic_ids(client)
        if settings.kafka_passwords is not None:
            create_users(client, read_passwords(settings.kafka_passwords, settings.kafka_users))
        create_acls(client, settings.kafka_users)
        log.info("migrated", store=edition, topics_created=created)


def _is_retriable(error: Exception) -> bool:
    """Whether a description of the topics may succeed later: a node may not know a new topic yet."""
    missing = isinstance(error, KafkaException) and kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    return missing or is_transient(error)


@stamina.retry(on=_is_retriable, attempts=8, timeout=30.0, wait_max=3.0)
def _check_topic_ids(client: BrokerAdmin) -> None:
    """The recorder cannot run without them: say it before anything is installed that needs it."""
    topic_ids(client, PERMANENT_TOPICS)


@stamina.retry(on=psycopg.OperationalError, attempts=8, timeout=60.0, wait_max=5.0)
def _migrate_store(settings: MigrateSettings, connections: Connections) -> Edition:
    dsn = connections.store_dsn.get_secret_value()
    credentials = read_credentials(settings.roles) if settings.roles else {}
    roles = {workload: own.role for workload, own in credentials.items()} or ROLES
    edition = upgrade_schema(dsn, roles, credentials if settings.make_roles else None)
    with connect(connections, name="tapedeck-migrate") as connection:
        set_retention_policies(connection, edition, settings.retention_days)
    return edition


if __name__ == "__main__":
    run_pod("migrate", MigrateSettings, Migration, serve_probes=False)
