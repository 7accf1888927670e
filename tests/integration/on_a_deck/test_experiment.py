"""`tapedeck rerun`: an experiment repeated from its record has the same trades, or reports the differences."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from decks.process import Deck, apply, broker_of, eventually, reaches
from pods.replay import MINUTE, T0, committed, insert_minutes, stored
from tapedeck_crds.base import time_ms
from tapedeck_deck.cli import changes
from tapedeck_deck.cli.report import find_run, gateway_client, save_report
from tapedeck_deck.cli.rerun import data_differences, rerun
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_gateway.routes.v1.report_file import TEMPLATE

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


def is_recorded(dsn: str, name: str) -> bool:
    """Whether the store has the end of a run."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT state FROM runs JOIN run_origins USING (run_id) WHERE name = %s"
        return connection.execute(query, (name,)).fetchall() == [("complete",)]


def wait_ended(objects: Objects, dsn: str, name: str) -> None:
    """Wait until a Backtest and its stored run have ended."""
    reaches(objects, "Backtest", name, "Complete", timeout=90)
    eventually(lambda: is_recorded(dsn, name))


@pytest.mark.slow
def repeated(home: StateDir, run: str, timeout: float) -> tuple[bool, list[str]]:
    """Whether a run that is repeated makes the same trades, and the comparison of both."""
    outcome = rerun(home, run, timeout)
    return outcome["same_trades"], outcome["differences"]


def test_a_run_is_repeated_from_its_record(shared_deck: Deck, tmp_path: Path) -> None:
    home, facts, objects = shared_deck
    owner = (home.migrate / "store_dsn").read_text().strip()
    insert_minutes(owner, "x", ["A/USD", "B/USD"], 400)
    with psycopg.connect(owner) as connection:  # as the recorder lists what it writes
        connection.execute(
            "INSERT INTO bar_series SELECT exchange, symbol, interval, min(ts), max(ts) FROM bars"
            " WHERE exchange = 'x' GROUP BY 1, 2, 3 ON CONFLICT DO NOTHING"
        )
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

    reaches(objects, "Replay", "crash-market", "Complete")
    topic = objects.get("Replay", "default", "crash-market")["status"]["topic"]
    records = committed(broker_of(facts), topic)
    closes = {each.value["ts"]: each.value["close"] for each in records if each.kind == "bar"}
    noon = time_ms("2024-01-08T12:00:00Z")
    assert closes[noon + 29 * MINUTE] / closes[noon - MINUTE] == pytest.approx(0.7, abs=0.02)  # as the file says

    objects.delete("Replay", "default", "crash-market")  # the record suffices
    assert repeated(home, "crash-fast", 300) == (True, ["data: the same", "trades: the same"])
    again = next(b for b in objects.list("Backtest") if b["metadata"]["name"].startswith("crash-fast-rerun-"))
    assert recorded(facts["dsn"], again["metadata"]["name"])["trades_hash"] == fast["trades_hash"]
    assert fast["trades_hash"] != recorded(facts["dsn"], "crash-slow")["trades_hash"]
    assert repeated(home, "swept", 300) == (True, ["data: the same", "trades: the same"])

    stored = recorded(facts["dsn"], "stored")
    token = home.control_token_file.read_text().strip()
    with gateway_client(facts["gateway"], token) as client:
        made = client.post(f"namespaces/default/runs/{stored['run_id']}/repeat").raise_for_status().json()
        refused = client.post("namespaces/default/runs/none/repeat")
        assert (refused.status_code, find_run(client, "stored")) == (404, stored["run_id"])
    wait_ended(objects, facts["dsn"], made["backtest"])
    assert recorded(facts["dsn"], made["backtest"])["trades_hash"] == stored["trades_hash"]
    assert recorded(facts["dsn"], made["backtest"])["run_id"] == made["uid"]
    if TEMPLATE.exists():  # the page is built
        report = tmp_path / "report.html"
        assert save_report(home, "stored", str(report)) == stored["run_id"]
        inside = re.search(r'<script type="application/json" id="run-document">(.*?)</script>', report.read_text())
        assert inside is not None
        document = json.loads(inside[1])
        assert document["report"]["metrics"] == stored["metrics"]
        assert (len(document["trades"]), document["trades_left_out"]) == (stored["metrics"]["trades"], 0)
        assert [each["seq"] for each in document["excursions"]] == [each["seq"] for each in document["trades"]]
        hold = document["hold"]["points"]
        assert (hold[-1][1] / hold[0][1] - 1) * 100 == pytest.approx(stored["metrics"]["buy_and_hold_percent"])

    with psycopg.connect(owner) as connection:
        connection.execute(
            "UPDATE bars SET open = open * 2, high = high * 2, close = close * 2 WHERE exchange = 'x' "
            "AND symbol = 'A/USD' AND ts BETWEEN to_timestamp(%(at)s) AND to_timestamp(%(at)s + 3600)",
            {"at": T0 / 1000 + 6_000},
        )
    for name in ("stored", "swept"):
        same, (data, trades) = repeated(home, recorded(facts["dsn"], name)["run_id"], 300)
        assert not same
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
def test_a_run_is_repeated_whatever_the_clock_and_controls_of_its_replay(shared_deck: Deck, tmp_path: Path) -> None:
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
    for name in CONTROLLED:  # a follower needs its leader to its end
        objects.delete("Replay", "default", name)
    for name in CONTROLLED:
        assert repeated(home, f"over-{name}", 60) == (True, ["data: the same", "trades: the same"])


def test_the_changed_parts_of_a_fingerprint_are_listed() -> None:
    assert data_differences("A=1:f;B=2:e", "A=1:f;B=2:e") == ["data: the same"]
    assert data_differences("A=1:f;B=2:e", "A=1:f;B=3:d;C=1:c") == [
        "data: B was 2:e, is 3:d",
        "data: C was missing, is 1:c",
    ]
