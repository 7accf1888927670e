"""Hostile records on the market's topics: the recorder refuses them, says so, and goes on."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from confluent_kafka import Producer

from attack import hostile
from attack.outcome import Outcome
from decks.process import Deck
from tapedeck_common import topics
from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.wire import encode, market_headers
from waits import eventually

T0 = 1_522_800_000_000
YEAR_MS = 366 * 86_400_000
BAR: dict[str, Any] = {
    "exchange": "hostile", "symbol": "A/B", "interval": "1m", "ts": T0, "open": 1.0, "high": 2.0, "low": 0.5,
    "close": 1.5, "volume": 1.0, "closed": True, "rev": 0,
}  # fmt: skip
TRADE = {"exchange": "hostile", "symbol": "A/B", "ts": T0, "id": "1", "price": 1.0, "amount": 1.0, "side": "buy"}
TICKER = {"exchange": "hostile", "symbol": "A/B", "ts": T0, "price": 1.0, "bid": 1.0, "ask": 1.1}
SOUND = {topics.MARKET_BARS: BAR, topics.MARKET_TRADES: TRADE, topics.MARKET_TICKERS: TICKER}
TOPICS = (*SOUND, topics.MARKET_INGEST, topics.MARKET_POINTS, topics.RESULTS)
HEADERS: tuple[Any, ...] = (
    None, [], [("td", b"")], [("td", b"1;live")], [("td", b"99;live")], [("td", b"\xff\xfe;live")], [("td", None)],
    [("td", b"1;replay;x;1.1")], [("td", b"1;replay;x;1.1;c")], [("td", b"1;live;" + b"x" * 9_000)],
    [("td", b"1;live"), ("td", b"1;replay")], [("x" * 200, b"y" * 5_000)] * 20,
)  # fmt: skip


def records(running: Deck, rng: random.Random, count: int, outcome: Outcome) -> None:
    """Send them all; then a sound bar on each partition arrives, and nothing unfit is in the store."""
    home, _, objects = running
    connections = Connections.read(home.migrate)
    kafka = producer(connections, "attack")
    before = _restarts(objects)
    for _ in range(count):
        topic = rng.choice(TOPICS)
        outcome.attempt(topic, partial(_send, kafka, rng, topic))
    kafka.flush(30)
    with psycopg.connect(connections.store_dsn.get_secret_value(), autocommit=True) as store:
        outcome.attempt("sound bars afterwards", lambda: _sound_bars_arrive(kafka, store, f"after{rng.random()}"))
        for problem in _unfit_rows(store):
            outcome.add(problem)
    if _restarts(objects) != before:
        outcome.add("the recorder ended and was started again")


def _send(kafka: Producer, rng: random.Random, topic: str) -> None:
    sound = SOUND.get(topic, BAR)
    value: bytes | None
    match rng.randrange(6):
        case 0:
            value = rng.choice((None, b"", b"{", b"\xff" * 50, b"[" * 5_000, b'{"ts":' + b"9" * 5_000 + b"}", b"null"))
        case 1:
            value = json.dumps(sound).encode()[: rng.randrange(1, 120)]
        case _:
            value = json.dumps(hostile.mutated(rng, sound)).encode("utf-8", "replace")
    key = rng.choice((b"hostile:A/B", b"", b"\xff", hostile.text(rng).encode("utf-8", "replace")[:500]))
    headers: Any = rng.choice((*HEADERS, *[market_headers("live")] * len(HEADERS)))
    kafka.produce(topic, value, key=key, headers=headers)
    kafka.poll(0)


def _sound_bars_arrive(kafka: Producer, store: psycopg.Connection[Any], exchange: str) -> None:
    count = 4 * topics.PERMANENT_PARTITIONS
    for number in range(count):
        bar = Bar(exchange, f"S{number}/X", "1m", T0, 1.0, 2.0, 0.5, 1.5, 1.0)
        key = series_key(bar.exchange, bar.symbol).encode()
        kafka.produce(topics.MARKET_BARS, encode(bar), key=key, headers=market_headers("live"))
    kafka.flush(30)
    found = "SELECT count(*) FROM bars WHERE exchange = %s"
    eventually(lambda: store.execute(found, [exchange]).fetchone() == (count,), 60)


UNFIT: tuple[tuple[str, Callable[[], dict[str, Any]]], ...] = (
    ("SELECT exchange, symbol FROM bars WHERE exchange ~ '[[:cntrl:]]' OR symbol ~ '[[:cntrl:]]'", dict),
    ("SELECT exchange, symbol FROM bars WHERE exchange = '' OR symbol = '' OR interval = ''", dict),
    ("SELECT ts FROM bars WHERE ts > to_timestamp(%(late)s / 1000.0)", lambda: {"late": _next_year()}),
    ("SELECT ts FROM trades WHERE ts > to_timestamp(%(late)s / 1000.0)", lambda: {"late": _next_year()}),
    ("SELECT rev FROM bars WHERE rev >= 1073741824", dict),
    ("SELECT open FROM bars WHERE NOT (low <= open AND open <= high AND low <= close AND close <= high)", dict),
    ("SELECT open FROM bars WHERE 'NaN'::float8 IN (open, high, low, close)", dict),
)


def _unfit_rows(store: psycopg.Connection[Any]) -> list[str]:
    found = [(query, store.execute(query, values()).fetchall()) for query, values in UNFIT]
    return [f"{len(rows)} rows in the store by {query!r}, such as {rows[0]!r}" for query, rows in found if rows]


def _next_year() -> int:
    """A time after the end of next year, in milliseconds UTC."""
    return int(time.time() * 1000) + 2 * YEAR_MS


def _restarts(objects: Any) -> list[str]:
    return sorted(
        f"{pod['metadata']['name']} {pod.get('status', {}).get('pid')}"
        for pod in objects.list("Pod")
        if pod["metadata"]["name"].startswith("recorder")
    )
