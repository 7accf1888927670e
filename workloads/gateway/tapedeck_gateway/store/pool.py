"""The pool of database connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool

from tapedeck_common.settings import Connections
from tapedeck_common.store.database import pool
from tapedeck_crds.errors import Unavailable

Connection: TypeAlias = psycopg.Connection[Any]
Pool: TypeAlias = ConnectionPool[Connection]
STATEMENT_TIMEOUT = "15s"
CONNECTION_SECONDS = 10.0  # that a request waits for a connection
RECONNECT_SECONDS = 2.0  # then the next request tries again; attempts within this time have growing pauses
AWAY_SECONDS = 1.0  # the same while the database does not answer

# UndefinedTable: the schema is not migrated yet. A query that is wrong in itself raises other errors.
_UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError, errors.UndefinedTable)


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
    """A connection of the pool. Raises Unavailable where the database does not answer in time or lacks its tables."""
    try:
        with pool.connection() as connection:
            yield connection
    except _UNAVAILABLE as error:
        raise Unavailable("the database does not answer; try again") from error
