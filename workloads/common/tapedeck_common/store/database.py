"""Connections to the database."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from tapedeck_common.settings import Connections


def connect(connections: Connections, *, name: str, autocommit: bool = False) -> psycopg.Connection[Any]:
    """A connection with a connect timeout and keep-alives. Raises psycopg.OperationalError."""
    return psycopg.connect(
        connections.store_dsn.get_secret_value(),
        autocommit=autocommit,
        application_name=name,
        connect_timeout=10,
        keepalives_idle=10,
    )


def pool(connections: Connections, *, name: str, size: int = 4) -> ConnectionPool[psycopg.Connection[Any]]:
    """A pool of connections for reading; the caller opens it."""
    return ConnectionPool(
        connections.store_dsn.get_secret_value(),
        min_size=1,
        max_size=size,
        timeout=10,
        open=False,
        kwargs={"autocommit": True, "application_name": name, "connect_timeout": 10},
    )
