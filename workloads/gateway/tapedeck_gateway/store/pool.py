"""The pool of database connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from psycopg_pool import ConnectionPool

from tapedeck_common.settings import Connections
from tapedeck_common.store.database import PooledConnection
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.store.errors import DATABASE_ERRORS, unavailable

Connection: TypeAlias = PooledConnection
CLIENTS = 2  # that may hold all that they may at once
SPARE = 4  # connections for others beside them
CONNECTION_SECONDS = 10.0  # that a request waits for a connection
RECONNECT_SECONDS = 2.0  # then the next request tries again; attempts within this time have growing pauses
AWAY_SECONDS = 1.0  # the same while the database does not answer


class Pool(ConnectionPool[Connection]):
    """Connections with a statement timeout, opened without waiting for the database: more than two clients can use."""

    def __init__(self, connections: Connections, limits: GatewayLimits) -> None:
        self.connections = connections
        super().__init__(
            connections.store_dsn.get_secret_value(),
            connection_class=PooledConnection,
            min_size=1,
            max_size=CLIENTS * limits.requests_at_once + SPARE,
            timeout=CONNECTION_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            name="tapedeck-gateway",
            kwargs={
                "autocommit": True,
                "application_name": "tapedeck-gateway",
                "connect_timeout": 10,
                "options": f"-c statement_timeout={limits.query_seconds * 1_000:.0f}",
            },
            open=False,
        )
        self.query_seconds = limits.query_seconds
        self.database_answers = True
        self.open(wait=False)

    def expect_answers(self, answers: bool) -> None:
        """Say whether the database answers: where it does not, requests wait less long for a connection."""
        self.database_answers = answers
        self.timeout = CONNECTION_SECONDS if answers else AWAY_SECONDS


@contextmanager
def connection_of(pool: Pool) -> Iterator[Connection]:
    """A connection of the pool. Raises Unavailable, with what an error of the database means, and SchemaMismatch."""
    try:
        with pool.connection() as connection:
            connection.check()
            yield connection
    except DATABASE_ERRORS as error:
        raise unavailable(error, query_seconds=pool.query_seconds, database_answers=pool.database_answers) from error
