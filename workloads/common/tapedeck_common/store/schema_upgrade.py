"""Upgrading the schema of the store; concurrent upgrades wait for each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tapedeck_common.settings import WorkloadName
from tapedeck_common.store.editions import Edition, set_up_storage
from tapedeck_common.store.roles import ROLES, RoleCredentials, create_role, grant_table_rights
from tapedeck_common.version import VERSION
from tapedeck_crds.errors import TapedeckError


class NewerSchema(TapedeckError):
    """A later version of Tapedeck has migrated the store."""


_LOCK = 0x7461706564656B  # "tapedek": the advisory lock of every upgrade


def upgrade_schema(
    dsn: str, roles: Mapping[WorkloadName, str] = ROLES, create: Iterable[RoleCredentials] = ()
) -> Edition:
    """Run the pending migrations, create hypertables and rollups, and grant the privileges of the workloads.

    ``roles`` are the names of the roles by workload; the roles of ``create`` are created first.
    Raises psycopg.Error and NewerSchema.
    """
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET lock_timeout = '60s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        check_not_newer(connection)
        _upgrade(dsn)
        edition = set_up_storage(connection)
        for credentials in create:
            create_role(connection, credentials)
        grant_table_rights(connection, roles)
        return edition


def known_revisions() -> list[str]:
    """The migrations of this version, newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def stored_revision(connection: psycopg.Connection[Any]) -> str:
    """The last migration that was applied to a database; empty for one without Tapedeck's tables."""
    if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() == (None,):
        return ""
    row = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
    return str(row[0]) if row else ""


def check_not_newer(connection: psycopg.Connection[Any]) -> None:
    """Raises NewerSchema where a later version of Tapedeck has migrated the database."""
    found, known = stored_revision(connection), known_revisions()
    if found and found not in known:
        raise NewerSchema(
            f"the schema of the store: got revision {found}, expected at most {known[0]}: a later version of Tapedeck "
            f"than {VERSION} has migrated it; use that version, or restore a backup from before the upgrade"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _upgrade(dsn: str) -> None:
    config = _config()
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn, connect_timeout=10), poolclass=NullPool
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
