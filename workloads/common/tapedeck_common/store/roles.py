"""What the database role of each workload may do: that and no more. Workloads may share a role."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import conninfo, sql

StoreWorkload = Literal["feed", "replay", "transform", "backtest", "gateway", "recorder"]

_COARSER = ("bars_5m", "bars_15m", "bars_1h", "bars_4h", "bars_1d")
_MARKET = ("bars", "trades", "tickers", *_COARSER)
_RUNS = ("runs", "run_trades", "run_fills", "run_equity", "run_trials", "run_origins")
_LOG = ("kafka_offsets",)  # whether what a run asks for is recorded yet
_INGEST = ("ingest_errors", "gaps")
_CATALOGUE = ("bar_series", "listings")

READS: dict[StoreWorkload, tuple[str, ...]] = {
    "feed": ("bars", "gaps"),  # what of the past is there, or not to be had
    "replay": ("bars", "trades", *_LOG),
    "transform": ("bars", "trades", "tickers"),  # what came before the first record
    "backtest": (*_MARKET, *_LOG),
    "gateway": (*_MARKET, "points", *_CATALOGUE, *_INGEST, *_RUNS),
    "recorder": (),
}
WRITES: dict[StoreWorkload, tuple[str, ...]] = {
    "recorder": ("bars", "trades", "tickers", "points", *_CATALOGUE, *_INGEST, *_RUNS, *_LOG),
}
_ALL = tuple(dict.fromkeys((*_MARKET, "points", *_CATALOGUE, *_INGEST, *_RUNS, *_LOG)))

# The roles where nobody names others.
READER, RECORDER = "tapedeck_reader", "tapedeck_recorder"
ROLES: dict[StoreWorkload, str] = {
    "feed": READER,
    "replay": READER,
    "transform": READER,
    "backtest": READER,
    "gateway": READER,
    "recorder": RECORDER,
}


class Account:
    """A role and its password, as a workload's DSN has them."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo.conninfo_to_dict(dsn)
        self.role = str(parts.get("user") or "")
        self.password = str(parts.get("password") or "")


def accounts(folder: Path) -> dict[StoreWorkload, Account]:
    """Each workload's account from a folder with its DSN in a file of its name; workloads without one are left out.

    Raises psycopg.ProgrammingError for what is no DSN.
    """
    paths: dict[StoreWorkload, Path] = {workload: folder / workload for workload in READS}
    found = {workload: Account(path.read_text().strip()) for workload, path in paths.items() if path.is_file()}
    return {workload: account for workload, account in found.items() if account.role}


def make_role(connection: psycopg.Connection[Any], account: Account) -> None:
    """Make a role that logs in, or give the one that is there this password. Wants the right to make roles.

    Raises psycopg.Error, also for an account without a password.
    """
    if not account.password:
        raise psycopg.ProgrammingError(f"role {account.role}: got no password, expected one in its workload's DSN")
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (account.role,)).fetchone()
    verb = sql.SQL("ALTER" if known else "CREATE")
    name = account.role.encode()
    # Hashed here, so that the server's log can't show it.
    verifier = connection.pgconn.encrypt_password(account.password.encode(), name, b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(account.role), sql.Literal(verifier))
    )


def grant(connection: psycopg.Connection[Any], roles: Mapping[StoreWorkload, str]) -> None:
    """Give each role the rights of its workloads and take others on Tapedeck's tables.

    Roles that are not there are left out, and so is the one that is connected: the tables are its own.
    """
    query = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND rolname <> current_user"
    for (role,) in connection.execute(query, (list(roles.values()),)).fetchall():
        its = [workload for workload, name in roles.items() if name == role]
        with connection.transaction():
            _on(connection, "REVOKE ALL ON {tables} FROM {role}", _ALL, role)
            _on(connection, "REVOKE ALL ON FUNCTION refresh_coarser() FROM {role}", (), role)
            _on(connection, "GRANT USAGE ON SCHEMA public TO {role}", (), role)
            _on(connection, "GRANT SELECT ON {tables} TO {role}", _tables(READS, its), role)
            writes = _tables(WRITES, its)
            _on(connection, "GRANT SELECT, INSERT, UPDATE ON {tables} TO {role}", writes, role)
            if writes:  # batches with conflicts go by a table of their own
                database = sql.Identifier(connection.info.dbname)
                statement = sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}")
                connection.execute(statement.format(database, sql.Identifier(role)))
                _on(connection, "GRANT EXECUTE ON FUNCTION refresh_coarser() TO {role}", (), role)


def _tables(of: Mapping[StoreWorkload, tuple[str, ...]], workloads: list[StoreWorkload]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(table for workload in workloads for table in of.get(workload, ())))


def _on(connection: psycopg.Connection[Any], statement: str, tables: tuple[str, ...], role: str) -> None:
    if "{tables}" in statement and not tables:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL(statement).format(tables=names, role=sql.Identifier(role)))
