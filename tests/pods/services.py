"""What the pods are connected to."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pydantic import SecretStr

from tapedeck_common import topics
from tapedeck_common.kafka import admin
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import OWNER, ROLES, SUPERUSER, Postgres

START_ATTEMPTS = 2


@dataclass(frozen=True)
class Services:
    """A running broker and database."""

    broker: KafkaBroker
    postgres: Postgres

    def start(self) -> None:
        """Start both, and create the topics. Raises DeckError; ``stop`` then ends what was started."""
        self.broker.launch()
        self.postgres.start()
        self.broker.wait_ready()
        ensure_topics(admin(self.connections(), "tests"), topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS)

    def stop(self) -> None:
        self.broker.stop()
        self.postgres.stop()

    def connections(self, *, role: str = "postgres", database: str = "tapedeck") -> Connections:
        return Connections(
            kafka_bootstrap=self.broker.bootstrap,
            store_dsn=SecretStr(self.postgres.dsn(role, database)),
        )


def as_role(connections: Connections, role: str) -> Connections:
    """The same with another database role. An owner's DSN has its name, and the name of its file of the password."""
    return connections.model_copy(
        update={"store_dsn": SecretStr(connections.store_dsn.get_secret_value().replace(OWNER, role))}
    )


def start_services(new_folder: Callable[[], Path]) -> Services:
    """Start a broker and a database in a new folder; a start that fails is tried once more, on other ports."""
    for _ in range(START_ATTEMPTS - 1):
        with suppress(Exception):
            return _start(new_folder())
    return _start(new_folder())


def _start(folder: Path) -> Services:
    services = Services(
        KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres", roles=(*ROLES, SUPERUSER))
    )
    try:
        services.start()
    except BaseException:
        services.stop()
        raise
    return services


@dataclass(frozen=True)
class EachStore:
    """A fresh database, not migrated, on the embedded Postgres or on TimescaleDB."""

    flavour: str
    dsn: Callable[[str], str]


@contextmanager
def fresh_database(dsn: Callable[[str, str], str]) -> Iterator[str]:
    """The name of a new database on a server, whose ``dsn`` takes role and database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(dsn("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
    yield name
    with psycopg.connect(dsn("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
