"""A deck with the sample market in its store, and what runs over it must leave, whatever happens to their pods."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

import by_hand.samples as by_hand
from decks.process import Deck, broker_of, eventually, phase, reaches
from tapedeck_crds.json import Json
from tapedeck_deck.cli import changes
from tapedeck_deck.demo import audit
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.objects import Objects
from tapedeck_operator.plan.names import PART_LABEL, UID_LABEL

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = EXAMPLES / "data" / "coinbase-minute"
SPEED = 60_000
PLAYS_SECONDS = 3 * 86_400 / SPEED
SETS = {"BTC/USD": "btcusd", "ETH/USD": "ethusd", "LTC/USD": "ltcusd", "BTC/EUR": "btceur"}


@dataclass(frozen=True)
class Stage:
    """A deck with the sample in its store."""

    facts: Json
    objects: Objects
    expected: audit.SourceBars
    _undisturbed: list[list[tuple[Any, ...]]] = field(default_factory=list)

    def apply(self, *resources: Json) -> None:
        found = [documents.Document("here", EXAMPLES, {"apiVersion": "tapedeck.dev/v1alpha1", **r}) for r in resources]
        list(changes.apply(self.objects, found, "default"))

    def pid(self, owner: str, part: str = "") -> int | None:
        """The pid of the newest running pod of a resource by its uid, or of a service by its name.

        ``part`` is ``transform`` for the pod of a resource's transforms.
        """
        for pod in reversed(self.objects.list("Pod")):
            labels = pod["metadata"]["labels"]
            mine = owner in (labels.get(UID_LABEL), labels.get("app.kubernetes.io/name"))
            status = pod.get("status", {})
            if mine and labels.get(PART_LABEL, "") == part and status.get("phase") == "Running" and "pid" in status:
                return int(status["pid"])
        return None

    def running(self, kind: str, name: str) -> int:
        """Wait for a pod of a resource, and return its pid. Where none runs, the error tells what is known of both."""
        uid = self.uid(kind, name)
        try:
            return eventually(lambda: self.pid(uid))
        except AssertionError:
            pods = [pod for pod in self.objects.list("Pod") if pod["metadata"]["labels"].get(UID_LABEL) == uid]
            known = [self.get(kind, name).get("status"), *(pod.get("status") for pod in pods)]
            raise AssertionError(f"no pod of {kind} {name} runs: {json.dumps(known, indent=1)}") from None

    def get(self, kind: str, name: str) -> Json:
        return self.objects.get(kind, "default", name)

    def uid(self, kind: str, name: str) -> str:
        uid: str = self.get(kind, name)["metadata"]["uid"]
        return uid

    def finish(self, replay: str) -> None:
        """Let a Replay that holds at its end finish there."""
        self.objects.patch_spec("Replay", "default", replay, {"spec": {"atEnd": "finish"}})

    def complete(self, *names: tuple[str, str]) -> None:
        for kind, name in names:
            reaches(self.objects, kind, name, "Complete", "Failed", timeout=90)
            assert phase(self.objects, kind, name) == "Complete", self.get(kind, name)["status"]

    def check_stored(self, exchange: str) -> None:
        """The store has each bar of the sample once, under this exchange id."""
        dsn = self.facts["dsn"]
        eventually(lambda: audit.check_store(dsn, exchange, self.expected).lost == 0, timeout=60)
        assert audit.check_store(dsn, exchange, self.expected) == audit.AuditResult("store", 13_886, 0, 0)

    def check_replay(self, name: str) -> None:
        """The topic of a Replay of the sample has each bar once."""
        topic = self.get("Replay", name)["status"]["topic"]
        found = audit.check_topic(broker_of(self.facts), topic, self.expected)
        assert found == audit.AuditResult("topic", 13_886, 0, 0)

    def check_run(self, name: str) -> None:
        """The store has each result of a Backtest once, and its trades are those of an undisturbed run."""
        run, dsn = self.uid("Backtest", name), self.facts["dsn"]
        bars = sum(symbol == "BTC/USD" for symbol, _ in self.expected)
        eventually(lambda: audit.check_run(dsn, run, bars).lost == 0)
        assert audit.check_run(dsn, run, bars) == audit.AuditResult("results", bars, 0, 0)
        eventually(lambda: len(self.trades(run)) >= self.get("Backtest", name)["status"]["trades"])
        assert self.trades(run) == self._calm_trades()

    def trades(self, run: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.facts["dsn"]) as connection:
            return connection.execute(
                "SELECT seq, symbol, side, size, entry_ts, entry_price, exit_ts, exit_price, pnl_net FROM run_trades "
                "WHERE run_id = %s ORDER BY seq",
                (run,),
            ).fetchall()

    def _calm_trades(self) -> list[tuple[Any, ...]]:
        """The trades of an undisturbed run over the same bars, from the store."""
        if not self._undisturbed:
            calm = backtest("calm", "none")
            calm["spec"]["data"] = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
            self.apply(calm)
            self.complete(("Backtest", "calm"))
            run = self.uid("Backtest", "calm")
            eventually(lambda: len(self.trades(run)) == self.get("Backtest", "calm")["status"]["trades"])
            self._undisturbed.append(self.trades(run))
        return self._undisturbed[0]


def feed(name: str, exchange: str) -> Json:
    sets = [{"symbol": s, "path": f"data/coinbase-minute/{stem}_*.zip"} for s, stem in SETS.items()]
    return {
        "kind": "Feed",
        "metadata": {"name": name},
        "spec": {"source": {"files": {"format": "lean", "securityType": "crypto", "exchange": exchange, "sets": sets}}},
    }


def replay(name: str, **more: Any) -> Json:
    store = {"exchange": "coinbase", "symbols": sorted(SETS)}
    spec = {"source": {"store": store}, "speed": SPEED, **more}
    return {"kind": "Replay", "metadata": {"name": name}, "spec": spec}


def backtest(name: str, over: str) -> Json:
    spec = {
        "strategy": {"builtin": "sma-cross"},
        "data": {"replay": {"name": over, "symbols": ["BTC/USD"]}},
        "broker": {"commissionPercent": 0.1},
        "sizer": {"percent": 95},
    }
    return {"kind": "Backtest", "metadata": {"name": name}, "spec": spec}


def prepare(deck: Deck) -> Stage:
    """Load the sample into the store of a deck."""
    _, facts, objects = deck
    ready = Stage(facts, objects, by_hand.coinbase(SAMPLE))
    ready.apply(feed("sample", "coinbase"))
    ready.complete(("Feed", "sample"))
    ready.check_stored("coinbase")
    return ready
