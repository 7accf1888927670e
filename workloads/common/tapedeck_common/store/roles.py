"""The privileges of each role of the database: the least that its workload needs. Workloads may share a role."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import conninfo, sql

from tapedeck_common.store.editions import ROLLUPS

RoleName = Literal["feed", "replay", "transform", "backtest", "gateway", "recorder", "dashboards"]
"""A workload, or what reads the store beside them: Grafana's panels and the exporter of the database's metrics."""

_ROLLUPS = tuple(f"bars_{interval}" for interval in ROLLUPS)
_SCHEMA = ("alembic_version",)  # read whenever a connection is opened
_MARKET = ("bars", "trades", "tickers", *_ROLLUPS)
_RUNS = ("runs", "run_trades", "run_fills", "run_equity", "run_trials", "run_origins")
_LOG = ("kafka_offsets",)  # to wait until the recorder has reached the end of a topic
_INGEST = ("ingest_errors", "gaps")
_SESSIONS = ("sessions",)
_CATALOGUE = ("bar_series", "listings", *_SESSIONS)

READS: dict[RoleName, tuple[str, ...]] = {
    "feed": (*_SCHEMA, "bars", "gaps"),  # bars that need no download: stored, or not available
    "replay": (*_SCHEMA, "bars", "trades", *_LOG),
    "transform": (*_SCHEMA, "bars", "trades", "tickers"),  # records before the first of the stream
    "backtest": (*_SCHEMA, *_MARKET, *_SESSIONS, *_LOG),
    "gateway": (*_SCHEMA, *_MARKET, "points", *_CATALOGUE, *_INGEST, *_RUNS),
    "recorder": _SCHEMA,
    "dashboards": (*_SCHEMA, *_MARKET, "points", *_CATALOGUE, *_INGEST, *_RUNS, *_LOG),
}
WRITES: dict[RoleName, tuple[str, ...]] = {
    "recorder": ("bars", "trades", "tickers", "points", *_CATALOGUE, *_INGEST, *_RUNS, *_LOG),
}
DELETES: dict[RoleName, tuple[str, ...]] = {
    "recorder": ("bars",),  # to write a later revision in its place
}
_ALL = tuple(dict.fromkeys((*_SCHEMA, *_MARKET, "points", *_CATALOGUE, *_INGEST, *_RUNS, *_LOG)))

# The default roles.
READER, RECORDER = "tapedeck_reader", "tapedeck_recorder"
ROLES: dict[RoleName, str] = {
    "feed": READER,
    "replay": READER,
    "transform": READER,
    "backtest": READER,
    "gateway": READER,
    "recorder": RECORDER,
    "dashboards": READER,
}

# Of the roles that people's own queries run with: a panel that asks for too much ends, and holds nothing up.
_LIMITS: dict[RoleName, dict[str, str]] = {
    "dashboards": {"default_transaction_read_only": "on", "statement_timeout": "15s"},
}


class RoleCredentials(NamedTuple):
    """A role and its password."""

    role: str
    password: str


def read_credentials(folder: Path) -> dict[RoleName, RoleCredentials]:
    """The credentials of each workload, from a folder in which each has a file or a folder of its name.

    A file has the workload's DSN, a folder the files ``username`` and ``password``. Workloads without either are left
    out. Raises psycopg.ProgrammingError for an invalid DSN.
    """
    paths: dict[RoleName, Path] = {workload: folder / workload for workload in READS}
    found = {workload: _credentials(path) for workload, path in paths.items() if path.exists()}
    return {workload: account for workload, account in found.items() if account.role}


def _credentials(path: Path) -> RoleCredentials:
    if path.is_dir():
        username, password = ((path / name).read_text().removesuffix("\n") for name in ("username", "password"))
        return RoleCredentials(username, password)
    parts = conninfo.conninfo_to_dict(path.read_text().strip())
    return RoleCredentials(str(parts.get("user") or ""), str(parts.get("password") or ""))


def create_role(connection: psycopg.Connection[Any], name: RoleName, account: RoleCredentials) -> None:
    """Create a login role, or set the password of an existing one, and its limits. The connection needs CREATEROLE.

    Raises psycopg.Error, also for credentials without a password.
    """
    if not account.password:
        raise psycopg.ProgrammingError(f"role {account.role}: got no password, expected one in the Secret of its name")
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (account.role,)).fetchone()
    verb = sql.SQL("ALTER" if exists else "CREATE")
    role = sql.Identifier(account.role)
    # Hashed by the client, so that the password cannot appear in the server's log.
    password = account.password.encode()
    verifier = connection.pgconn.encrypt_password(password, account.role.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, sql.Literal(verifier)))
    for setting, value in _LIMITS.get(name, {}).items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(role, sql.Identifier(setting), sql.Literal(value))
        )


def grant_table_rights(connection: psycopg.Connection[Any], roles: Mapping[RoleName, str]) -> None:
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
            _on(connection, "GRANT DELETE ON {tables} TO {role}", _tables(DELETES, its_workloads), role)
            if writes:  # a batch with conflicts is written through a temporary table
                database = sql.Identifier(connection.info.dbname)
                statement = sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}")
                connection.execute(statement.format(database, sql.Identifier(role)))
                _on(connection, "GRANT EXECUTE ON FUNCTION refresh_coarser() TO {role}", (), role)


def _tables(of: Mapping[RoleName, tuple[str, ...]], workloads: list[RoleName]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(table for workload in workloads for table in of.get(workload, ())))


def _on(connection: psycopg.Connection[Any], statement: str, tables: tuple[str, ...], role: str) -> None:
    if "{tables}" in statement and not tables:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL(statement).format(tables=names, role=sql.Identifier(role)))
