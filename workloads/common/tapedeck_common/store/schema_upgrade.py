"""Bring the schema up to date; two at once wait for one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tapedeck_common.store.roles import ROLES, Account, StoreWorkload, grant, make_role
from tapedeck_common.store.storage import Flavour, arrange

_LOCK = 0x7461706564656B  # "tapedek": the advisory lock of all who migrate


def migrate(dsn: str, roles: Mapping[StoreWorkload, str] = ROLES, make: Iterable[Account] = ()) -> Flavour:
    """Run the migrations that are missing, arrange what depends on the database, and grant the workloads' rights.

    ``roles`` names each workload's role; ``make`` are accounts to be made first. Raises psycopg.Error.
    """
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET lock_timeout = '60s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        _upgrade(dsn)
        flavour = arrange(connection)
        for account in make:
            make_role(connection, account)
        grant(connection, roles)
        return flavour


def _upgrade(dsn: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn, connect_timeout=10), poolclass=NullPool
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
