"""A running deck is backed up and restored elsewhere: the same rows, results and resources, and the same trades."""

from __future__ import annotations

import os
import stat
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from decks.process import Deck, apply, eventually, of_users, phase, reaches, running_deck, wait_recorded
from tapedeck_crds.json import Json
from tapedeck_deck.cli import changes
from tapedeck_deck.cli.app import app
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.backup import back_up
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir

EXAMPLES = Path(__file__).parents[3] / "examples"
RUN: Json = {
    "strategy": {"builtin": "sma-cross", "params": {"fast": 10, "slow": 30}},
    "data": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}},
}
SLOW = {"source": {"synthetic": {"symbols": [{"symbol": "A/USD"}], "bars": 100_000}}, "speed": 60}
SECRET = "a-key-of-the-user"
pytestmark = pytest.mark.slow


def test_a_restored_deck_has_rows_results_and_resources_and_repeats_a_run(shared_deck: Deck, tmp_path: Path) -> None:
    home, facts, objects = shared_deck
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "mine", "namespace": "default"}}
    objects.apply({**secret, "data": {"key": b64encode(SECRET.encode()).decode()}})
    apply(objects, "Replay", "slow", SLOW)
    changes.apply(objects, documents.read([str(EXAMPLES / "feed.yaml")]), "default")
    reaches(objects, "Feed", "coinbase-sample", "Complete", timeout=90)
    wait_recorded(shared_deck)
    apply(objects, "Backtest", "first", RUN)
    reaches(objects, "Backtest", "first", "Complete", timeout=90)
    wait_recorded(shared_deck)
    eventually(lambda: phase(objects, "Replay", "slow") == "Running")

    file = tmp_path / "deck.backup"
    done = CliRunner().invoke(app, ["backup", str(file), "--home", str(home.root)])
    assert done.exit_code == 0, done.output
    assert "1 backtests, 1 feeds, 1 replays" in done.stdout.lower()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert phase(objects, "Replay", "slow") == "Running"
    made = of_users(objects)
    before, trades = _rows(facts["dsn"], home), _trades_hash(facts["dsn"], objects, "first")
    assert before["bars"][0] >= 13_886

    restored = StateDir.at(tmp_path / "restored")
    done = CliRunner().invoke(app, ["restore", str(file), "--home", str(restored.root)])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "restored"]
    kept = Objects(restored.objects)
    assert {kind for kind, _, _ in made} >= {"Feed", "Replay", "Backtest", "Secret"}
    assert ("Secret", "default", "mine") in made
    assert sorted((d["kind"], d["metadata"]["namespace"], d["metadata"]["name"]) for d in kept.list()) == sorted(made)
    assert phase(kept, "Replay", "slow") == ""
    kept.close()
    again = CliRunner().invoke(app, ["restore", str(file), "--home", str(restored.root)])
    assert again.exit_code == 1
    assert "which is not empty" in again.stderr

    with running_deck(restored.root) as (_, its_facts, its_objects):
        assert _rows(its_facts["dsn"], restored) == before
        assert _offsets_of_other_brokers(its_facts["dsn"]) == 0
        uids = [o.get("Backtest", "default", "first")["metadata"]["uid"] for o in (objects, its_objects)]
        assert uids[0] == uids[1]
        reaches(its_objects, "Replay", "slow", "Running")
        apply(its_objects, "Backtest", "second", RUN)
        reaches(its_objects, "Backtest", "second", "Complete", timeout=90)
        eventually(lambda: _trades_hash(its_facts["dsn"], its_objects, "second"))
        assert _trades_hash(its_facts["dsn"], its_objects, "second") == trades
        for kind, name in (("Feed", "coinbase-sample"), ("Backtest", "first")):
            assert phase(its_objects, kind, name) == "Complete"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_leaves_no_file(shared_deck: Deck, tmp_path: Path) -> None:
    home, _, _ = shared_deck
    for size in ("16k", "200k", "280k"):
        small = tmp_path / size
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", small], check=True)
        try:
            with pytest.raises(DeckError, match=r"(?i)no space|is full"):
                back_up(home, small / "deck.backup")
            assert list(small.iterdir()) == []
        finally:
            subprocess.run(["umount", "-l", small], check=True)


def _rows(dsn: str, home: StateDir) -> dict[str, Any]:
    """Number and hash of the rows of each table that the backup holds."""
    with psycopg.connect((home.migrate / "store_dsn").read_text().strip()) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        query = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t"
        return {
            name: connection.execute(sql.SQL(query).format(sql.Identifier(name))).fetchone()
            for (name,) in tables
            if name != "kafka_offsets"
        }


def _offsets_of_other_brokers(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT greatest(count(DISTINCT cluster_id) - 1, 0) FROM kafka_offsets").fetchone()
    return int(row[0]) if row else 0


def _trades_hash(dsn: str, objects: Objects, name: str) -> str:
    uid = objects.get("Backtest", "default", name)["metadata"]["uid"]
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT trades_hash FROM runs WHERE run_id = %s AND state = 'complete'", (uid,)
        ).fetchone()
    return str(row[0]) if row else ""
