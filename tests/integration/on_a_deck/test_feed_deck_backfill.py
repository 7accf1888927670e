"""A Feed's backfill on a running deck: beside the live pod, alone, by the command, and with invalid input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from decks.command import spawn
from decks.process import Deck, eventually, phase
from exchange import Exchange
from exchange.binance import Binance
from exchange.candles import MINUTE, CandleMarket
from tapedeck_crds.json import Json
from tapedeck_deck.cli import changes
from tapedeck_deck.cli.describe import describe
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_operator.plan.observer import INDEX_ANNOTATION

pytestmark = pytest.mark.slow
END = 1_735_689_600_000  # 2025
START = END - 3000 * MINUTE
GAP = (END - 500 * MINUTE, END - 470 * MINUTE)


@pytest.fixture(scope="module")
def running(shared_deck: Deck) -> Iterator[tuple[StateDir, Json, Objects, Exchange]]:
    home, facts, objects = shared_deck
    markets = [CandleMarket(base, "USDT", [], first=START, gaps=[GAP]) for base in ("BTC", "ETH")]
    with Exchange(Binance(), list(markets), clock_offset=END + 30_000) as exchange:
        yield home, facts, objects, exchange


def apply(objects: Objects, name: str, exchange: Exchange, **spec: Any) -> None:
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    content = {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": "Feed",
        "metadata": {"name": name},
        "spec": {"exchange": "binance", "symbols": ["BTC/USDT"], "endpoints": endpoints, **spec},
    }
    list(changes.apply(objects, [documents.Document("here", Path(), content)], "default"))


def stored(facts: Json, symbol: str) -> tuple[Any, ...] | None:
    with psycopg.connect(facts["dsn"]) as connection:
        query = "SELECT count(*), count(*) FILTER (WHERE source = 'backfill') FROM bars WHERE symbol = %s"
        return connection.execute(query, [symbol]).fetchone()


def test_a_backfill_beside_the_live_pod(running: tuple[StateDir, Json, Objects, Exchange]) -> None:
    _, facts, objects, exchange = running
    past = {"from": "2024-12-29T22:00:00Z", "to": "2025-01-01T00:00:00Z", "shards": 2}
    apply(objects, "both", exchange, backfill=past)
    exchange.subscribed()

    def is_complete() -> bool:
        status = objects.get("Feed", "default", "both").get("status", {})
        return bool(status.get("progress") == "3000/3000" and status["phase"] == "Running")

    eventually(is_complete)
    eventually(lambda: stored(facts, "BTC/USDT") == (2970, 2970))
    description = describe(objects, objects.get("Feed", "default", "both"))
    for words in ("shard: 0", "shard: 1", "rate:", "retries:", "missing: 30", "2025-01-01T00:00:00Z"):
        assert words in description
    kinds = [pod["metadata"]["name"] for pod in objects.list("Pod") if "feed-both" in pod["metadata"]["name"]]
    assert len(kinds) == 3
    objects.delete("Feed", "default", "both")


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ({"backfill": {"from": "2100-01-01T00:00:00Z"}}, "BadRange", "backfill.from: got 2100-01-01T00:00:00Z"),
        (
            {"symbols": ["BTC/USTD"], "backfill": {"from": "2024-12-31T00:00:00Z", "only": True}},
            "UnknownSymbol",
            "near matches: BTC/USDT",
        ),
    ],
)
def test_invalid_input_is_final_within_seconds(
    running: tuple[StateDir, Json, Objects, Exchange], wrong: Json, reason: str, words: str
) -> None:
    _, _, objects, exchange = running
    name = reason.lower()
    apply(objects, name, exchange, **wrong)
    eventually(lambda: phase(objects, "Feed", name) == "Failed", 40)
    status = objects.get("Feed", "default", name)["status"]
    assert status["conditions"][0]["reason"] == reason
    assert words in status["message"]
    pods = [pod["metadata"] for pod in objects.list("Pod") if f"feed-{name}" in pod["metadata"]["name"]]
    assert len([pod for pod in pods if INDEX_ANNOTATION in pod["annotations"]]) == 1, (
        "no pod follows one that rejected its input"
    )


def test_the_command_fetch(running: tuple[StateDir, Json, Objects, Exchange], tmp_path: Path) -> None:
    home, facts, _, exchange = running

    def fetch(*more: str) -> subprocess.CompletedProcess[str]:
        words = ["--home", str(home.root), "fetch", "--exchange", "binance", "--rest", exchange.rest, *more]
        process = spawn(tmp_path, *words)
        out, err = process.communicate(timeout=900)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    span = ("--start", "2024-12-29T22:00:00Z", "--end", "2025-01-01")
    done = fetch("--symbols", "ETH/USDT", *span, "-o", "json")
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)
    assert (result["phase"], result["bars"], result["missing"], result["symbols"]) == ("Complete", 2970, 30, 1)
    eventually(lambda: stored(facts, "ETH/USDT") == (2970, 2970))
    again = fetch("--symbols", "ETH/USDT", *span)
    assert again.returncode == 0
    assert "3000 of 3000 bars" in again.stdout
    assert "0 downloaded" in again.stdout
    assert "binance: 3,000 bars of 1 symbol: 3 requests, about 1 s at 20 requests a second" in again.stderr

    more = ("--exchange", "binanceus", "--symbols", "ETH/USDT", "--last", "60m", "--end", "2025-01-01", "-o", "json")
    both = fetch(*more)  # of the first exchange they are stored
    assert both.returncode == 0, both.stderr
    assert [(each["exchange"], each["bars"]) for each in json.loads(both.stdout)] == [("binance", 0), ("binanceus", 60)]

    listed = fetch("-o", "json")
    assert listed.returncode == 0, listed.stderr
    [offer] = json.loads(listed.stdout)
    assert [each["symbol"] for each in offer["symbols"]] == ["BTC/USDT", "ETH/USDT"]
    assert (offer["symbols"][0]["priceStep"], offer["barsPerRequest"]) == (0.01, 1000)
    shown = fetch().stdout.splitlines()
    assert shown[1].split() == ["binance", "BTC/USDT", "BTC", "USDT", "0.01", "0.00001"]

    for wrong, words in (
        (("--symbols", "BTC/USTD", *span), "near matches: BTC/USDT"),
        (("--exchange", "binanse", "--symbols", "BTC/USDT", *span), "near matches: binance"),
        (("--symbols", "BTC/USDT"), "expected --start, the first open time, or --last, such as 30d"),
        (("--symbols", "BTC/USDT", "--start", "2100-01-01"), "--start: got 2100-01-01, expected a time before now"),
    ):
        refused = fetch(*wrong)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert words in refused.stderr
