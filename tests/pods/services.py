"""What the pods are connected to."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from pydantic import SecretStr

from tapedeck_common.settings import Connections
from tapedeck_deck.embedded.broker import Broker
from tapedeck_deck.embedded.postgres import Postgres


@dataclass(frozen=True)
class Services:
    """A running broker and database."""

    broker: Broker
    postgres: Postgres

    def connections(self, *, role: str = "postgres", database: str = "tapedeck") -> Connections:
        return Connections(
            kafka_bootstrap=self.broker.bootstrap,
            store_dsn=SecretStr(self.postgres.dsn(role, database)),
        )


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
        connection.execute(f"CREATE DATABASE {name}")
    yield name
    with psycopg.connect(dsn("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
