"""The commands of docs/operate/backup.md restore a store, and the recorder continues in it without loss or doubling."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from pods.recorder import Record, recorded_ends, recorders, select
from pods.recorder_stage import RecorderStage, bar, on_bars
from pods.services import EachStore, Services, fresh_database
from tapedeck_common import topics
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_deck.embedded.postgres import OWNER
from tapedeck_deck.embedded.postgres_account import account, programs

PAGE = (Path(__file__).parents[2] / "docs" / "operate" / "backup.md").read_text().partition("## On a cluster")[2]
SECTIONS = {"plain": "On PostgreSQL:", "apache": "On TimescaleDB,"}
BARS = """
SELECT symbol, (extract(epoch FROM ts) * 1000)::int8, close, volume, source FROM bars
WHERE exchange = %s ORDER BY symbol, ts
"""
REFUSED = "SELECT payload, count(*) FROM ingest_errors WHERE payload LIKE %s GROUP BY 1 ORDER BY 1"


def commands(after: str) -> list[str]:
    """The first commands of the page after a text, without those of Kubernetes and of the environment."""
    block = re.findall(r"```console\n(.*?)```", PAGE.partition(after)[2], re.DOTALL)[0]
    lines = re.findall(r"^\$ (.*)$", block, re.MULTILINE)
    return [line for line in lines if not line.startswith(("kubectl", "export", "createdb"))]


def run(command: str, dsn: str, folder: Path) -> None:
    """Run a command of the page as it is there, with the connection in the environment."""
    connection = conninfo_to_dict(dsn)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "passfile": "PGPASSFILE"}
    environment = {names[key]: str(value) for key, value in connection.items() if key in names}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment | {"PATH": f"{programs(account())}:{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"


def test_a_restored_store_continues(
    services: Services, stage: RecorderStage, each_store: EachStore, exchange: str, tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    plain = each_store.flavour == "plain"
    server = services.postgres if plain else request.getfixturevalue("timescale")
    before = [bar(exchange, symbol, minute) for symbol in ("A/B", "C/D") for minute in range(50)]
    after = [bar(exchange, "A/B", minute, close=3.0) for minute in range(50, 90)]
    after.append(bar(exchange, "A/B", 7, close=1.5, rev=1))  # corrects a bar of the dump
    last = bar(exchange, "C/D", 50)
    bad: list[Record] = [(topics.MARKET_BARS, f"{exchange} {number}".encode(), exchange, None) for number in (1, 2)]
    stage.record(*map(on_bars, before), bad[0])
    (dump,) = commands("### Back up the store")
    run(dump, stage.dsn, tmp_path)
    offsets = recorded_ends(stage.dsn)
    stage.record(*map(on_bars, after), bad[1])
    assert stage.recorder.stop() == 0

    with fresh_database(server.dsn) as name:
        owner = server.dsn(OWNER if plain else "postgres", name)
        for command in commands(SECTIONS[each_store.flavour]):
            run(command, owner, tmp_path)
        assert len(select(owner, BARS, exchange)) == len(before)
        assert recorded_ends(owner) == offsets
        assert upgrade_schema(owner) == each_store.flavour
        with recorders(tmp_path, stage.bootstrap, server.dsn("tapedeck_recorder", name)) as (recorder,):
            recorder.start()
            RecorderStage(services, owner, recorder).record(on_bars(last))
        rows = {(each.symbol, each.ts): (each.close, each.volume) for each in [*before, *after, last]}
        assert select(owner, BARS, exchange) == [(*key, *values, "backfill") for key, values in sorted(rows.items())]
        assert select(owner, REFUSED, f"{exchange}%") == [(f"{exchange} {number}", 1) for number in (1, 2)]
