"""Upgrading the schema of the store; concurrent upgrades wait for each other."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tapedeck_common.store.editions import Edition, set_up_storage
from tapedeck_common.store.roles import ROLES, RoleCredentials, RoleName, create_role, grant_table_rights
from tapedeck_common.store.schema_version import MIGRATIONS, check_not_newer, declare_oldest_program

_LOCK = 0x7461706564656B  # "tapedek": the advisory lock of every upgrade


def upgrade_schema(
    dsn: str, roles: Mapping[RoleName, str] = ROLES, create: Mapping[RoleName, RoleCredentials] | None = None
) -> Edition:
    """Run the pending migrations, create hypertables and rollups, and grant the privileges of the workloads.

    ``roles`` are the roles' names in the database; those of ``create`` are created first.
    Raises psycopg.Error and NewerSchema.
    """
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET lock_timeout = '60s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        check_not_newer(connection)
        _upgrade(dsn)
        declare_oldest_program(connection)
        edition = set_up_storage(connection)
        for name, credentials in (create or {}).items():
            create_role(connection, name, credentials)
        grant_table_rights(connection, roles)
        return edition


def _upgrade(dsn: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn, connect_timeout=10), poolclass=NullPool
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
