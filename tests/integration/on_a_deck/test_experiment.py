"""`tapedeck rerun`: an experiment repeated from its record has the same trades, or reports the differences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from decks.process import Deck, apply, eventually, reaches
from pods.replay import T0, insert_minutes, stored
from tapedeck_deck.cli import changes
from tapedeck_deck.cli.rerun import data_differences, rerun, rerun_obstacle
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects

EXAMPLES = Path(__file__).parents[3] / "examples"
STORED = """
apiVersion: tapedeck.dev/v1alpha1
kind: Backtest
metadata: {name: stored}
spec:
  strategy: {builtin: sma-cross, params: {fast: 3, slow: 9}}
  data: {store: {exchange: x, symbols: [A/USD, B/USD]}}
  sizer: {fixed: 1}
---
apiVersion: tapedeck.dev/v1alpha1
kind: Backtest
metadata: {name: swept}
spec:
  strategy: {builtin: sma-cross}
  data: {store: {exchange: x, symbols: [A/USD]}}
  sizer: {fixed: 1}
  sweep: {params: [{name: fast, values: [3, 5]}, {name: slow, values: [9, 15]}], shards: 2}
"""


def recorded(dsn: str, name: str) -> dict[str, Any]:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as connection:
        found = connection.execute(
            "SELECT r.*, o.origin FROM runs r JOIN run_origins o USING (run_id) WHERE name = %s", (name,)
        ).fetchall()
    assert len(found) == 1
    return found[0]


def wait_ended(objects: Objects, dsn: str, name: str) -> None:
    """Wait until a Backtest and its stored run have ended."""
    reaches(objects, "Backtest", name, "Complete", timeout=90)
    eventually(lambda: recorded(dsn, name)["state"] == "complete")


@pytest.mark.slow
def test_a_run_is_repeated_from_its_record(
    shared_deck: Deck, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, facts, objects = shared_deck
    owner = (home.migrate / "store_dsn").read_text().strip()
    insert_minutes(owner, "x", ["A/USD", "B/USD"], 400)
    (tmp_path / "stored.yaml").write_text(STORED)
    found = documents.read([str(EXAMPLES / "more" / "experiment.yaml"), str(tmp_path / "stored.yaml")])
    assert len(changes.apply(objects, found, "default")) == 5
    for name in ("crash-fast", "crash-slow", "stored", "swept"):
        wait_ended(objects, facts["dsn"], name)

    fast = recorded(facts["dsn"], "crash-fast")
    origin, specs = fast["origin"], {d.content["metadata"]["name"]: d.content["spec"] for d in found}
    assert fast["metrics"]["trades"] > 10
    assert origin["seed"] == 20240101
    assert origin["replay"]["source"]["synthetic"]["bars"] == 20_000
    assert origin["replay"]["scenario"][0]["shock"]["percent"] == -30
    assert fast["spec"]["strategy"] == specs["crash-fast"]["strategy"]
    for workload, image in origin["images"].items():
        assert re.fullmatch(f"tapedeck_{workload}@sha256:[0-9a-f]{{64}}", image)
    assert sorted(origin["images"]) == ["backtest", "replay"]
    assert origin["data"].startswith("synthetic-")
    assert ";scenario=" in origin["data"]

    objects.delete("Replay", "default", "crash-market")  # the record suffices
    capsys.readouterr()
    assert rerun(home, "crash-fast", 90)
    assert capsys.readouterr().out.splitlines() == ["data: the same", "trades: the same"]
    again = next(b for b in objects.list("Backtest") if b["metadata"]["name"].startswith("crash-fast-rerun-"))
    assert recorded(facts["dsn"], again["metadata"]["name"])["trades_hash"] == fast["trades_hash"]
    assert fast["trades_hash"] != recorded(facts["dsn"], "crash-slow")["trades_hash"]
    assert rerun(home, "swept", 90)
    assert capsys.readouterr().out.splitlines() == ["data: the same", "trades: the same"]

    with psycopg.connect(owner) as connection:
        connection.execute(
            "UPDATE bars SET open = open * 2, high = high * 2, close = close * 2 WHERE exchange = 'x' "
            "AND symbol = 'A/USD' AND ts BETWEEN to_timestamp(%(at)s) AND to_timestamp(%(at)s + 3600)",
            {"at": T0 / 1000 + 6_000},
        )
    for name in ("stored", "swept"):
        assert not rerun(home, recorded(facts["dsn"], name)["run_id"], 90)
        data, trades = capsys.readouterr().out.splitlines()
        assert data.startswith("data: A/USD was 400:")
        assert trades.startswith("trades: was ")
    with pytest.raises(DeckError, match="run: got 'nothing', expected the id of a run"):
        rerun(home, "nothing", 5)


CONTROLLED: dict[str, dict[str, Any]] = {
    "lead": {"until": "2018-04-04T05:00:00Z", "loop": 2, "unpaced": True, "record": True},
    "follower": {"clock": {"follow": "lead"}},
    "sought": {"seek": {"to": "2018-04-04T01:40:00Z", "id": "first"}, "speed": 30_000},
    "sought-lead": {
        "seek": {"to": "2018-04-04T01:40:00Z", "id": "first"},
        "until": "2018-04-04T05:00:00Z",
        "unpaced": True,
    },
    "sought-follower": {"clock": {"follow": "sought-lead"}},
}


@pytest.mark.slow
def test_a_run_is_repeated_whatever_the_clock_and_controls_of_its_replay(
    shared_deck: Deck, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, facts, objects = shared_deck
    owner = (home.migrate / "store_dsn").read_text().strip()
    insert_minutes(owner, "steered", ["A/USD"], 400)
    rows = [f"{ts},{','.join(map(str, values))}" for ts, _, *values in stored(owner, "steered")]
    (tmp_path / "a.csv").write_text("\n".join(["ts,open,high,low,close,volume", *rows]))
    files = {"files": {"exchange": "steered", "sets": [{"symbol": "A/USD", "path": "a.csv"}]}}
    store = {"store": {"exchange": "steered", "symbols": ["A/USD"]}}
    strategy = {"strategy": {"builtin": "sma-cross", "params": {"fast": 3, "slow": 9}}, "sizer": {"fixed": 1}}
    for name, controls in CONTROLLED.items():
        source = {"source": files if name == "sought" else store}
        apply(objects, "Replay", name, source | controls, tmp_path)
        apply(objects, "Backtest", f"over-{name}", strategy | {"data": {"replay": {"name": name}}}, tmp_path)
    for name in ("lead", "follower", "sought-lead", "sought-follower"):
        reaches(objects, "Replay", name, "Paused")
    for name in ("lead", "sought-lead"):
        objects.patch_spec("Replay", "default", name, changes.control_patch(until="off", loop="off"))
    for name in CONTROLLED:
        wait_ended(objects, facts["dsn"], f"over-{name}")
        assert recorded(facts["dsn"], f"over-{name}")["bars"] == (300 if name.startswith("sought") else 400)
        objects.delete("Replay", "default", name)
    for name in CONTROLLED:
        capsys.readouterr()
        assert rerun(home, f"over-{name}", 60)
        assert capsys.readouterr().out.splitlines() == ["data: the same", "trades: the same"]


def test_the_changed_parts_of_a_fingerprint_are_listed() -> None:
    assert data_differences("A=1:f;B=2:e", "A=1:f;B=2:e") == ["data: the same"]
    assert data_differences("A=1:f;B=2:e", "A=1:f;B=3:d;C=1:c") == [
        "data: B was 2:e, is 3:d",
        "data: C was missing, is 1:c",
    ]


@pytest.mark.parametrize(
    ("run", "obstacle"),
    [
        ({}, ""),
        ({"run_id": "u-1@0.2"}, ""),  # the last round of a loop, which equals the first
        ({"run_id": "u-1@1.0"}, "was restarted by a seek"),
        ({"run_id": "u-1@1.0", "origin": {"begin": 1_522_800_000_000}}, ""),
        ({"state": "failed"}, "is not complete (failed)"),
        ({"origin": None}, "has no record of its data and code"),
    ],
)
def test_a_run_that_cannot_be_compared_is_not_repeated(run: dict[str, Any], obstacle: str) -> None:
    found = rerun_obstacle({"run_id": "u-1", "state": "complete", "origin": {}} | run)
    assert (found == "") == (obstacle == "")
    assert obstacle in found
