"""Parts of a running deck killed at seeded random instants: nothing is lost or duplicated.

Only the audit reads the results: from the source files, the topic (read_committed) and SQL.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import by_hand.samples as by_hand
from decks.process import Deck, broker_of, eventually, kill, phase, reaches
from tapedeck_crds.json import Json
from tapedeck_deck.cli import changes
from tapedeck_deck.demo import audit
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.objects import Objects
from tapedeck_operator.plan.names import UID_LABEL

EXAMPLES = Path(__file__).parents[3] / "examples"
# The tests of each workload kill it three times; here all run together.
SEEDS = range(int(os.environ.get("TAPEDECK_FAULTS", "1")))
SPEED = 60_000
PLAYS_SECONDS = 3 * 86_400 / SPEED
SETS = {"BTC/USD": "btcusd", "ETH/USD": "ethusd", "LTC/USD": "ltcusd", "BTC/EUR": "btceur"}

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@dataclass(frozen=True)
class Stage:
    """A deck with the sample in its store."""

    facts: Json
    objects: Objects
    expected: audit.SourceBars

    def apply(self, *resources: Json) -> None:
        found = [documents.Document("here", EXAMPLES, {"apiVersion": "tapedeck.dev/v1alpha1", **r}) for r in resources]
        list(changes.apply(self.objects, found, "default"))

    def pid(self, uid: str) -> int | None:
        """The pid of the newest running pod of a resource, or of a service by its name."""
        for pod in reversed(self.objects.list("Pod")):
            labels = pod["metadata"]["labels"]
            mine = uid in (labels.get(UID_LABEL), labels.get("app.kubernetes.io/name"))
            if mine and pod.get("status", {}).get("phase") == "Running" and "pid" in pod["status"]:
                return int(pod["status"]["pid"])
        return None

    def get(self, kind: str, name: str) -> Json:
        return self.objects.get(kind, "default", name)

    def complete(self, *names: tuple[str, str]) -> None:
        for kind, name in names:
            reaches(self.objects, kind, name, "Complete", "Failed", timeout=90)
            assert phase(self.objects, kind, name) == "Complete", self.get(kind, name)["status"]


def feed(name: str, exchange: str) -> Json:
    sets = [{"symbol": s, "path": f"data/coinbase-minute/{stem}_*.zip"} for s, stem in SETS.items()]
    return {
        "kind": "Feed",
        "metadata": {"name": name},
        "spec": {"source": {"files": {"format": "lean", "securityType": "crypto", "exchange": exchange, "sets": sets}}},
    }


def replay(name: str) -> Json:
    store = {"exchange": "coinbase", "symbols": sorted(SETS)}
    return {"kind": "Replay", "metadata": {"name": name}, "spec": {"source": {"store": store}, "speed": SPEED}}


def backtest(name: str, over: str) -> Json:
    spec = {
        "strategy": {"builtin": "sma-cross"},
        "data": {"replay": {"name": over, "symbols": ["BTC/USD"]}},
        "broker": {"commissionPercent": 0.1},
        "sizer": {"percent": 95},
    }
    return {"kind": "Backtest", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def stage(shared_deck: Deck) -> Stage:
    _, facts, objects = shared_deck
    ready = Stage(facts, objects, by_hand.coinbase(EXAMPLES / "data" / "coinbase-minute"))
    ready.apply(feed("sample", "coinbase"))
    ready.complete(("Feed", "sample"))
    eventually(lambda: audit.check_store(facts["dsn"], "coinbase", ready.expected).lost == 0)
    return ready


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("victim", ["Replay", "Backtest"])
def test_a_killed_run_loses_and_duplicates_nothing(stage: Stage, victim: str, seed: int) -> None:
    name = f"{victim.lower()}-{seed}"
    stage.apply(replay(name), backtest(name, name))
    uid = stage.get(victim, name)["metadata"]["uid"]
    anchor = eventually(lambda: stage.get("Replay", name).get("status", {}).get("anchor"))
    instant = anchor["w0"] / 1000 + random.Random(f"{victim}{seed}").uniform(0.0, 0.9) * PLAYS_SECONDS
    time.sleep(max(0.0, instant - time.time()))
    pid = eventually(lambda: stage.pid(uid))
    kill(pid)
    stage.complete(("Replay", name), ("Backtest", name))
    assert stage.pid(uid) != pid
    topic = stage.get("Replay", name)["status"]["topic"]
    assert audit.check_topic(broker_of(stage.facts), topic, stage.expected) == audit.AuditResult("topic", 13_886, 0, 0)
    run = stage.get("Backtest", name)["metadata"]["uid"]
    bars = sum(symbol == "BTC/USD" for symbol, _ in stage.expected)
    eventually(lambda: audit.check_run(stage.facts["dsn"], run, bars).lost == 0, timeout=30)
    assert audit.check_run(stage.facts["dsn"], run, bars) == audit.AuditResult("results", bars, 0, 0)
    assert trades(stage, run) == undisturbed(stage)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_recorder_loses_and_duplicates_nothing(stage: Stage, seed: int) -> None:
    exchange = f"killed-{seed}"
    rng = random.Random(seed)
    stage.apply(feed(exchange, exchange))
    for _ in range(2):
        time.sleep(rng.uniform(0.1, 1.2))
        kill(eventually(lambda: stage.pid("recorder")))
        time.sleep(0.3)
    stage.complete(("Feed", exchange))
    eventually(lambda: audit.check_store(stage.facts["dsn"], exchange, stage.expected).lost == 0, timeout=60)
    assert audit.check_store(stage.facts["dsn"], exchange, stage.expected) == audit.AuditResult("store", 13_886, 0, 0)


def trades(stage: Stage, run: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(stage.facts["dsn"]) as connection:
        return connection.execute(
            "SELECT seq, symbol, side, size, entry_ts, entry_price, exit_ts, exit_price, pnl_net FROM run_trades "
            "WHERE run_id = %s ORDER BY seq",
            (run,),
        ).fetchall()


_undisturbed: list[list[tuple[Any, ...]]] = []


def undisturbed(stage: Stage) -> list[tuple[Any, ...]]:
    """The trades of an undisturbed run over the same bars, from the store."""
    if not _undisturbed:
        calm = backtest("calm", "none")
        calm["spec"]["data"] = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
        stage.apply(calm)
        stage.complete(("Backtest", "calm"))
        run = stage.get("Backtest", "calm")["metadata"]["uid"]
        eventually(lambda: len(trades(stage, run)) == stage.get("Backtest", "calm")["status"]["trades"])
        _undisturbed.append(trades(stage, run))
    return _undisturbed[0]


def test_a_replay_whose_key_was_deleted_gets_it_again(stage: Stage) -> None:
    stage.apply(replay("keyless"))
    uid = stage.get("Replay", "keyless")["metadata"]["uid"]
    eventually(lambda: stage.get("Replay", "keyless").get("status", {}).get("anchor"))
    (key,) = stage.objects.list("Secret", owner_uid=uid)
    stage.objects.delete("Secret", "default", key["metadata"]["name"])
    kill(eventually(lambda: stage.pid(uid)))
    stage.complete(("Replay", "keyless"))
    (again,) = stage.objects.list("Secret", owner_uid=uid)
    assert again["data"] == key["data"]
