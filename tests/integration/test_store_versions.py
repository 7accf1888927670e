"""A store with the schema of another version: each workload refuses it, and says which version is where."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pods.backtest import BacktestPod
from pods.gateway import Gateway
from pods.recorder import recorders
from pods.replay import ReplayProcess
from pods.runs import spec, store_data
from pods.services import Services, as_role
from tapedeck_common.settings import Connections
from tapedeck_common.store.database import connect
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.store.schema_version import OLDEST_PROGRAM
from tapedeck_common.version import VERSION
from tapedeck_crds.errors import TapedeckError
from tapedeck_deck.embedded import forkserver, processes
from tapedeck_deck.embedded.postgres import SUPERUSER
from tapedeck_deck.embedded.readiness import reported_message
from tapedeck_maintenance.connection_check import main
from waits import eventually

SOURCES = Path(__file__).parents[2] / "workloads"
NEWEST = max(path.name[:4] for path in SOURCES.rglob("migrations/versions/0*.py"))
EXPECTED = f"expected revision {NEWEST} of Tapedeck {VERSION}: "
LATER, EARLIER, NONE = (
    f"the schema of the store: got {got}, {EXPECTED}{advice}"
    for got, advice in (
        ("revision 9999", "a later version of Tapedeck has migrated it. Use that version"),
        ("revision 0001", "this version has not migrated it. The init container `migrate`"),
        ("no tables", "this version has not migrated it. The init container `migrate`"),
    )
)
REPLAY = {"source": {"store": {"exchange": "coinbase", "symbols": ["A/USD"], "interval": "1m"}}}


def set_revision(dsn: str, revision: str, oldest_program: str = "") -> None:
    """Make it the store of another version, which declares what the oldest programs know that can use it."""
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))
        comment = sql.SQL("COMMENT ON TABLE alembic_version IS {}")
        connection.execute(comment.format(f"For programs that know the migration {oldest_program or revision}."))


def end_connections(services: Services, dsn: str) -> None:
    """End the open ones: they were checked before."""
    with psycopg.connect(services.postgres.dsn(SUPERUSER)) as connection:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(query, (conninfo_to_dict(dsn)["dbname"],))


@pytest.mark.parametrize(("revision", "message", "code"), [("9999", LATER, 64), ("0001", EARLIER, 1)])
def test_pods_refuse_it(
    connections: Connections, store: str, tmp_path: Path, revision: str, message: str, code: int
) -> None:
    set_revision(store, revision)
    backtest = BacktestPod(connections, tmp_path / "backtest", spec(store_data(["A/USD"])))
    replay = ReplayProcess(tmp_path / "replay", connections, REPLAY)
    with recorders(tmp_path, connections.kafka_bootstrap, store) as (recorder,):
        recorder.start(wait=False)
        backtest.start()
        replay.start()
        assert (recorder.exit_code(), backtest.wait(), replay.wait()) == (code, code, code)
    for report in (backtest.report(), replay.last_report(), json.loads((recorder.home / "termination").read_text())):
        assert report["message"].startswith(message)
        assert report["reason"] == ("NewerSchema" if code == 64 else "OlderSchema")
    if revision == "9999":
        left = tmp_path / "left"
        told = {"TAPEDECK_CONNECTIONS": str(recorder.home / "connections"), "TAPEDECK_TERMINATION_LOG": str(left)}
        migrate = forkserver.start("tapedeck_maintenance.migrate", log=tmp_path / "log", env=os.environ | told)
        assert processes.wait_exit(migrate, 60) == 64
        assert reported_message(left.read_text()).startswith(message)
    with psycopg.connect(store) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,)


def test_pods_use_a_later_one_that_suits_them_and_migrate_does_not(connections: Connections, store: str) -> None:
    with connect(connections, name="test") as connection:
        query = "SELECT obj_description('alembic_version'::regclass, 'pg_class')"
        assert connection.execute(query).fetchone() == (f"For programs that know the migration {OLDEST_PROGRAM}.",)
    set_revision(store, "9999", NEWEST)
    connect(connections, name="test").close()
    with pytest.raises(TapedeckError, match=f"^{LATER}"):
        upgrade_schema(store)
    set_revision(store, "9999", f"{int(NEWEST) + 1:04}")
    with pytest.raises(TapedeckError, match=f"^{LATER}"):
        connect(connections, name="test")


def test_one_without_tables_or_rights_is_refused_until_it_is_migrated(
    connections: Connections, store: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    reader = as_role(connections, "tapedeck_reader")
    with psycopg.connect(store, autocommit=True) as owner:
        connect(reader, name="test").close()
        owner.execute("REVOKE SELECT ON alembic_version FROM tapedeck_reader")
        with pytest.raises(TapedeckError, match="got one that this role may not read, expected revision"):
            connect(reader, name="test")
        owner.execute("ALTER TABLE alembic_version RENAME TO away")
        with pytest.raises(TapedeckError, match=f"^{NONE}"):
            connect(reader, name="test")
        (tmp_path / "kafka_bootstrap").write_text(reader.kafka_bootstrap)
        (tmp_path / "store_dsn").write_text(reader.store_dsn.get_secret_value())
        monkeypatch.setenv("TAPEDECK_CONNECTIONS", str(tmp_path))
        assert main([], wait=0) == 1
        assert f"database: failed: {NONE}" in capsys.readouterr().out
        owner.execute("ALTER TABLE away RENAME TO alembic_version")
    upgrade_schema(store)
    connect(reader, name="test").close()


def test_the_gateway_says_so_while_it_lasts(gateway: Gateway, store: str, services: Services) -> None:
    def says(message: str) -> bool:
        status, answer = gateway.get("/api/runs")  # the first after the end of a connection may get "try again"
        refused = status == 503 and message in answer["errmsg"]
        line = f"database: {message or 'answers'}"
        return (refused if message else (status, answer) == (200, [])) and line in gateway.get("/readyz")[1]

    for revision, message in ((NEWEST, ""), ("9999", LATER), ("0001", EARLIER), (NEWEST, "")):
        set_revision(store, revision)
        end_connections(services, store)
        eventually(lambda message=message: says(message))  # type: ignore[misc]


def test_no_workload_connects_past_the_check() -> None:
    connecting = re.compile(r"(psycopg|Connection)\.connect\(")
    found = {path for path in SOURCES.rglob("*.py") if connecting.search(path.read_text())}
    assert {path.relative_to(SOURCES).as_posix() for path in found} == {
        "common/tapedeck_common/store/database.py",
        "common/tapedeck_common/store/schema_upgrade.py",
        "gateway/tapedeck_gateway/service_monitor.py",
    }
