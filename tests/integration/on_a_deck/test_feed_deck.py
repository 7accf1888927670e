"""Live Feeds on a running deck: ingested, recorded, suspended, and failed with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from decks.process import Deck, eventually, phase
from exchange import Exchange, recorded
from exchange.binance import Binance
from exchange.cryptocompare import CryptoCompare
from tapedeck_crds.json import Json
from tapedeck_deck.cli import changes
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.objects import Objects

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(shared_deck: Deck) -> Iterator[tuple[Json, Objects, Exchange]]:
    _, facts, objects = shared_deck
    with Exchange(Binance(), recorded()) as exchange:
        yield facts, objects, exchange


def apply(objects: Objects, name: str, spec: Json) -> None:
    content = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Feed", "metadata": {"name": name}, "spec": spec}
    list(changes.apply(objects, [documents.Document("here", Path(), content)], "default"))


def live(exchange: Exchange, **more: Any) -> Json:
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    return {"exchange": "binance", "symbols": ["BTC/USDT"], "endpoints": endpoints, **more}


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ({"exchange": "binanse"}, "UnknownExchange", ["'binanse'", "near matches: binance"]),
        ({"symbols": ["BTC/USTD"]}, "UnknownSymbol", ["'BTC/USTD'", "near matches: BTC/USDT"]),
        ({"apiKeySecret": "wrong-key"}, "WrongKey", ["apiKeySecret", "Invalid API-key"]),
    ],
)
def test_invalid_input_is_reported_within_seconds(
    running: tuple[Json, Objects, Exchange], wrong: Json, reason: str, words: list[str]
) -> None:
    _, objects, exchange = running
    objects.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "wrong-key", "namespace": "default"},
            "data": {"apiKey": "bm90LXRoZS1rZXk="},
        }
    )
    name = reason.lower()
    apply(objects, name, live(exchange) | wrong)
    eventually(lambda: phase(objects, "Feed", name) == "Failed", 40)
    status = objects.get("Feed", "default", name)["status"]
    assert status["conditions"][0]["reason"] == reason
    assert all(word in status["message"] for word in words), status["message"]
    eventually(lambda: not [d for d in objects.list("Deployment") if d["metadata"]["name"].startswith(f"feed-{name}")])


def test_a_channel_that_the_exchange_lacks_is_reported(running: tuple[Json, Objects, Exchange]) -> None:
    _, objects, _ = running
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "compare-key", "namespace": "default"}}
    objects.apply(secret | {"data": {"apiKey": "dGhlLWtleQ=="}})
    with Exchange(CryptoCompare(), recorded()) as exchange:
        spec = live(exchange, channels=["trades"], apiKeySecret="compare-key") | {"exchange": "cryptocompare"}
        apply(objects, "lacking", spec)
        eventually(lambda: phase(objects, "Feed", "lacking") == "Failed", 40)
    status = objects.get("Feed", "default", "lacking")["status"]
    assert status["conditions"][0]["reason"] == "UnsupportedChannel"
    assert status["message"].startswith("channels: got trades, which cryptocompare does not send (BTC/USDT is an index")


def test_ingested_recorded_suspended_and_resumed(running: tuple[Json, Objects, Exchange]) -> None:
    facts, objects, exchange = running
    spec = live(exchange, channels=["trades", "bars", "ticker"], apiKeySecret="right-key")
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "right-key", "namespace": "default"}}
    objects.apply(secret | {"data": {"apiKey": "dGhlLWtleQ=="}})
    apply(objects, "binance", spec)
    exchange.subscribed(channels=2)
    exchange.play(9_000)
    exchange.refresh()

    def reaches(name: str, least: int) -> bool:
        return bool(objects.get("Feed", "default", "binance").get("status", {}).get(name, 0) >= least)

    btc = exchange.markets[0]
    eventually(lambda: reaches("trades", btc.happened) and reaches("tickers", 1))
    apply(objects, "binance", {**spec, "suspend": True})
    eventually(lambda: phase(objects, "Feed", "binance") == "Suspended" and not exchange.clients)
    exchange.play()  # what happens meanwhile is recovered afterwards
    apply(objects, "binance", {**spec, "suspend": False})

    def stored() -> list[tuple[Any, ...]]:
        with psycopg.connect(facts["dsn"]) as connection:
            query = "SELECT count(*), count(DISTINCT id), max(id::bigint) - min(id::bigint) + 1 FROM trades"
            return connection.execute(query + " WHERE exchange = 'binance'").fetchall()

    eventually(lambda: stored()[0][0] == 9_757)
    assert stored() == [(9_757, 9_757, 9_757)]
    eventually(lambda: phase(objects, "Feed", "binance") == "Running")

    def listed() -> list[tuple[Any, ...]]:
        with psycopg.connect(facts["dsn"]) as connection:
            query = "SELECT symbol, price_step FROM listings WHERE exchange = 'binance'"
            return connection.execute(query).fetchall()

    eventually(lambda: (btc.symbol, 0.01) in listed())
