"""Database roles: each workload has the least privileges. On plain Postgres and TimescaleDB."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import errors

from pods.services import EachStore, Services
from tapedeck_common.store.schema_upgrade import upgrade_schema

VIEWS = ["bars_5m", "bars_15m", "bars_1h", "bars_4h", "bars_1d"]
RUNS = ["runs", "run_trades", "run_fills", "run_equity", "run_trials", "run_origins"]
CATALOGUE = ["bar_series", "listings", "sessions"]
VERSION = "alembic_version"
# By hand: what the README promises.
MAY_READ = {
    "feed": {VERSION, "bars", "gaps"},
    "replay": {VERSION, "bars", "trades", "kafka_offsets"},
    "transform": {VERSION, "bars", "trades", "tickers"},
    "backtest": {VERSION, "bars", "trades", "tickers", "kafka_offsets", "sessions", *VIEWS},
    "gateway": {VERSION, "bars", "trades", "tickers", "points", *CATALOGUE, "ingest_errors", "gaps", *VIEWS, *RUNS},
    "recorder": {
        VERSION,
        "bars",
        "trades",
        "tickers",
        "points",
        *CATALOGUE,
        "ingest_errors",
        "gaps",
        "kafka_offsets",
        *RUNS,
    },
}
MAY_READ["dashboards"] = {*MAY_READ["gateway"], "kafka_offsets"}
MAY_WRITE = {"recorder": MAY_READ["recorder"] - {VERSION}}
ALL_TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')
"""
BAR = "INSERT INTO bars VALUES ('x', 'A/B', '1m', now(), 1, 1, 1, 1, 1, 0, 'live')"


def test_the_default_roles_have_the_least_privileges(each_store: EachStore) -> None:
    upgrade_schema(each_store.dsn("postgres"))
    with psycopg.connect(each_store.dsn("tapedeck_reader"), autocommit=True) as reader:
        assert reader.execute("SELECT count(*) FROM bars_5m").fetchone() == (0,)
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute(BAR)
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute("SELECT refresh_coarser()")
    with psycopg.connect(each_store.dsn("tapedeck_recorder"), autocommit=True) as recorder:
        assert recorder.execute("SELECT refresh_coarser()").fetchone() == (0,)
        recorder.execute("CREATE TEMPORARY TABLE stage (LIKE bars)")
        for refused in ("CREATE TABLE mine (a int)", "DROP TABLE bars", "DELETE FROM trades", "TRUNCATE bars"):
            with pytest.raises(errors.InsufficientPrivilege):
                recorder.execute(refused)


def test_migrate_creates_a_role_for_each_workload(each_store: EachStore, services: Services, tmp_path: Path) -> None:
    admin = each_store.dsn("postgres")
    suffix = hashlib.sha256(admin.encode()).hexdigest()[:8]
    names = {workload: f"own-{workload}.{suffix}@X" for workload in MAY_READ}
    try:
        for password in ("first/only&for tests", "then another"):
            _migrate(services, admin, tmp_path, names, password)
            with psycopg.connect(admin) as connection:
                for name in names.values():
                    _knows(connection, name, password)
        with psycopg.connect(admin) as connection:
            tables = {row[0] for row in connection.execute(ALL_TABLES)}
            assert tables >= set().union(*MAY_READ.values())
            for workload, name in names.items():
                assert _may(connection, name, "SELECT", tables) == MAY_READ[workload], workload
                for verb in ("INSERT", "UPDATE"):
                    assert _may(connection, name, verb, tables) == MAY_WRITE.get(workload, set()), (workload, verb)
                deletes = {"bars"} if workload == "recorder" else set()  # in whose place it writes a later revision
                assert _may(connection, name, "DELETE", tables) == deletes, workload
                for verb in ("TRUNCATE", "REFERENCES", "TRIGGER"):
                    assert _may(connection, name, verb, tables) == set(), (workload, verb)
        with connected(each_store, names["recorder"], password) as recorder:
            recorder.execute("CREATE TEMPORARY TABLE stage (LIKE bars)")
            recorder.execute(BAR)
        with connected(each_store, names["replay"], password) as replay:
            assert replay.execute("SELECT count(*) FROM bars").fetchone() == (1,)
            with pytest.raises(errors.InsufficientPrivilege):
                replay.execute("SELECT count(*) FROM runs")
        with connected(each_store, names["dashboards"], password) as panel:
            assert panel.execute("SHOW statement_timeout").fetchone() == ("15s",)
            with pytest.raises(errors.ReadOnlySqlTransaction):
                panel.execute("CREATE TEMPORARY TABLE mine (a int)")
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            for name in names.values():
                connection.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def connected(store: EachStore, role: str, password: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(store.dsn("postgres"), user=role, password=password, autocommit=True)


def _migrate(services: Services, admin: str, folder: Path, names: dict[str, str], password: str) -> None:
    """Run migrate as the init container does."""
    (folder / "roles" / "dashboards").mkdir(parents=True, exist_ok=True)
    for workload, name in names.items():
        at = folder / "roles" / workload
        if at.is_dir():
            (at / "username").write_text(name)
            (at / "password").write_text(f"{password}\n")
        else:
            at.write_text(f"postgresql://{quote(name)}:{quote(password, safe='')}@db.example:5432/tapedeck")
    (folder / "kafka_bootstrap").write_text(services.broker.bootstrap)
    (folder / "store_dsn").write_text(admin)
    told = {
        "TAPEDECK_CONNECTIONS": str(folder),
        "TAPEDECK_ROLES": str(folder / "roles"),
        "TAPEDECK_MAKE_ROLES": "true",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tapedeck_maintenance.migrate"],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert password not in json.dumps([done.stdout, done.stderr])


def _may(connection: psycopg.Connection[tuple[object, ...]], role: str, verb: str, tables: set[str]) -> set[str]:
    query = "SELECT t FROM unnest(%s::text[]) t WHERE has_table_privilege(%s, 'public.' || t, %s)"
    return {str(row[0]) for row in connection.execute(query, (sorted(tables), role, verb))}


def _knows(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> None:
    """Whether the server would accept this password: compares RFC 5802's StoredKey."""
    row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s AND rolcanlogin", (role,)).fetchone()
    assert row is not None
    _, first, second = str(row[0]).split("$")
    rounds, salt = first.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    stored = hashlib.sha256(hmac.new(salted, b"Client Key", hashlib.sha256).digest()).digest()
    assert base64.b64decode(second.split(":")[0]) == stored
