"""The privileges of each workload's database role: the least that the workload needs. Workloads may share a role."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import conninfo, sql

from tapedeck_common.store.editions import ROLLUPS

WorkloadName = Literal["feed", "replay", "transform", "backtest", "gateway", "recorder"]

_ROLLUPS = tuple(f"bars_{interval}" for interval in ROLLUPS)
_SCHEMA = ("alembic_version",)  # read whenever a connection is opened
_MARKET = ("bars", "trades", "tickers", *_ROLLUPS)
_RUNS = ("runs", "run_trades", "run_fills", "run_equity", "run_trials", "run_origins")
_LOG = ("kafka_offsets",)  # to wait until the recorder has reached the end of a topic
_INGEST = ("ingest_errors", "gaps")
_SESSIONS = ("sessions",)
_CATALOGUE = ("bar_series", "listings", *_SESSIONS)

READS: dict[WorkloadName, tuple[str, ...]] = {
    "feed": (*_SCHEMA, "bars", "gaps"),  # bars that need no download: stored, or not available
    "replay": (*_SCHEMA, "bars", "trades", *_LOG),
    "transform": (*_SCHEMA, "bars", "trades", "tickers"),  # records before the first of the stream
    "backtest": (*_SCHEMA, *_MARKET, *_SESSIONS, *_LOG),
    "gateway": (*_SCHEMA, *_MARKET, "points", *_CATALOGUE, *_INGEST, *_RUNS),
    "recorder": _SCHEMA,
}
WRITES: dict[WorkloadName, tuple[str, ...]] = {
    "recorder": ("bars", "trades", "tickers", "points", *_CATALOGUE, *_INGEST, *_RUNS, *_LOG),
}
_ALL = tuple(dict.fromkeys((*_SCHEMA, *_MARKET, "points", *_CATALOGUE, *_INGEST, *_RUNS, *_LOG)))

# The default roles.
READER, RECORDER = "tapedeck_reader", "tapedeck_recorder"
ROLES: dict[WorkloadName, str] = {
    "feed": READER,
    "replay": READER,
    "transform": READER,
    "backtest": READER,
    "gateway": READER,
    "recorder": RECORDER,
}


class RoleCredentials:
    """A role and its password, from the DSN of a workload."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo.conninfo_to_dict(dsn)
        self.role = str(parts.get("user") or "")
        self.password = str(parts.get("password") or "")


def read_credentials(folder: Path) -> dict[WorkloadName, RoleCredentials]:
    """The credentials of each workload, from a folder with its DSN in a file of the workload's name.

    Workloads without a file are left out. Raises psycopg.ProgrammingError for an invalid DSN.
    """
    paths: dict[WorkloadName, Path] = {workload: folder / workload for workload in READS}
    found = {workload: RoleCredentials(path.read_text().strip()) for workload, path in paths.items() if path.is_file()}
    return {workload: account for workload, account in found.items() if account.role}


def create_role(connection: psycopg.Connection[Any], account: RoleCredentials) -> None:
    """Create a login role, or set the password of an existing one. The connection needs CREATEROLE.

    Raises psycopg.Error, also for credentials without a password.
    """
    if not account.password:
        raise psycopg.ProgrammingError(f"role {account.role}: got no password, expected one in its workload's DSN")
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (account.role,)).fetchone()
    verb = sql.SQL("ALTER" if exists else "CREATE")
    name = account.role.encode()
    # Hashed by the client, so that the password cannot appear in the server's log.
    verifier = connection.pgconn.encrypt_password(account.password.encode(), name, b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(account.role), sql.Literal(verifier))
    )


def grant_table_rights(connection: psycopg.Connection[Any], roles: Mapping[WorkloadName, str]) -> None:
    """Grant each role the privileges of its workloads, and revoke its others on Tapedeck's tables.

    Roles that do not exist are left out, and so is the connected one, which owns the tables.
    """
    query = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND rolname <> current_user"
    for (role,) in connection.execute(query, (list(roles.values()),)).fetchall():
        its_workloads = [workload for workload, name in roles.items() if name == role]
        with connection.transaction():
            _on(connection, "REVOKE ALL ON {tables} FROM {role}", _ALL, role)
            _on(connection, "REVOKE ALL ON FUNCTION refresh_coarser() FROM {role}", (), role)
            _on(connection, "GRANT USAGE ON SCHEMA public TO {role}", (), role)
            _on(connection, "GRANT SELECT ON {tables} TO {role}", _tables(READS, its_workloads), role)
            writes = _tables(WRITES, its_workloads)
            _on(connection, "GRANT SELECT, INSERT, UPDATE ON {tables} TO {role}", writes, role)
            if writes:  # a batch with conflicts is written through a temporary table
                database = sql.Identifier(connection.info.dbname)
                statement = sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}")
                connection.execute(statement.format(database, sql.Identifier(role)))
                _on(connection, "GRANT EXECUTE ON FUNCTION refresh_coarser() TO {role}", (), role)


def _tables(of: Mapping[WorkloadName, tuple[str, ...]], workloads: list[WorkloadName]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(table for workload in workloads for table in of.get(workload, ())))


def _on(connection: psycopg.Connection[Any], statement: str, tables: tuple[str, ...], role: str) -> None:
    if "{tables}" in statement and not tables:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL(statement).format(tables=names, role=sql.Identifier(role)))
