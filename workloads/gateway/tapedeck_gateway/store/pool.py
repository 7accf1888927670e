"""The pool of database connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import psycopg
from psycopg_pool import ConnectionPool

from tapedeck_common.settings import Connections
from tapedeck_common.store.database import PooledConnection, pool
from tapedeck_crds.errors import Unavailable

Connection: TypeAlias = PooledConnection
Pool: TypeAlias = ConnectionPool[Connection]
STATEMENT_TIMEOUT = "15s"
CONNECTION_SECONDS = 10.0  # that a request waits for a connection
RECONNECT_SECONDS = 2.0  # then the next request tries again; attempts within this time have growing pauses
AWAY_SECONDS = 1.0  # the same while the database does not answer

# A query that is wrong in itself raises other errors.
_UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError)


def open_pool(connections: Connections) -> Pool:
    """A pool with a statement timeout, opened without waiting for the database."""
    opened = pool(connections, name="tapedeck-gateway")
    opened.timeout = CONNECTION_SECONDS
    opened.reconnect_timeout = RECONNECT_SECONDS
    if isinstance(opened.kwargs, dict):
        opened.kwargs["options"] = f"-c statement_timeout={STATEMENT_TIMEOUT}"
    opened.open(wait=False)
    return opened


@contextmanager
def connection_of(pool: Pool) -> Iterator[Connection]:
    """A connection of the pool. Raises Unavailable where the database does not answer in time or has another schema."""
    try:
        with pool.connection() as connection:
            connection.check()
            yield connection
    except _UNAVAILABLE as error:
        raise Unavailable("the database does not answer; try again") from error
