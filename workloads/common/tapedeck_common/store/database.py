"""Connections to the store. Each is in autocommit, and refused where the schema is that of another version."""

from __future__ import annotations

from typing import Any

import psycopg

from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_version import check_schema


class PooledConnection(psycopg.Connection[Any]):
    """A connection of a pool, whose schema is checked before its first use: the pool would only time out."""

    _checked = False

    def check(self) -> None:
        """Raises psycopg.Error, NewerSchema and OlderSchema."""
        if not self._checked:
            check_schema(self)
            self._checked = True


def connect(connections: Connections, *, name: str) -> psycopg.Connection[Any]:
    """A connection with a connect timeout and keep-alives. Raises psycopg.Error, NewerSchema and OlderSchema."""
    connection = psycopg.connect(
        connections.store_dsn.get_secret_value(),
        autocommit=True,
        application_name=name,
        connect_timeout=10,
        keepalives_idle=10,
    )
    try:
        check_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection
