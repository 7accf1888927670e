"""A replay beside the two simulators that most people write, over the same bars of the same store.

``replay-vs-await``: one that waits for the broker's answer to each message before the next.
``replay-vs-plain``: one that takes rows one by one from a cursor, encodes them with ``json.dumps``, produces and
flushes each second. Both are timed from their first row to their last answer, and promise less: no transactions,
no position. Bars a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
from confluent_kafka import Producer

from bench.figures import Figure, against, alternate
from bench.replay_bed import SYMBOLS, Bed, bed, rate, scaled
from tapedeck_common.kafka import admin, ensure_topics

BARS, AWAITED, RUNS = scaled(1_000_000), scaled(4_000), 3
FIELDS = ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume")
QUERY = (
    "SELECT exchange, symbol, interval, (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume "
    "FROM bars WHERE exchange = 'x' ORDER BY ts, symbol LIMIT %s"
)


def run() -> Iterator[Figure]:
    """Both figures, on a broker and a database of their own."""
    with bed() as services:
        services.fill("x", BARS, SYMBOLS)
        services.unpaced("x", BARS)  # warms the broker up
        for name, rival in (("replay-vs-await", _awaiting), ("replay-vs-plain", _plain)):
            values, references = alternate(
                lambda: rate(services.unpaced("x", BARS)),
                partial(rival, services),
                RUNS,
            )
            yield against(name, values, references, "msg/s")


def _awaiting(services: Bed) -> float:
    producer, topic = _producer(services, {"linger.ms": 0})
    began = time.perf_counter()
    for key, value in _messages(services, AWAITED):
        producer.produce(topic, value, key)
        producer.flush()
    return AWAITED / (time.perf_counter() - began)


def _plain(services: Bed) -> float:
    producer, topic = _producer(services, {"queue.buffering.max.messages": 1_000_000})
    began = flushed = time.perf_counter()
    for key, value in _messages(services, BARS):
        producer.produce(topic, value, key)
        producer.poll(0)
        if time.perf_counter() - flushed >= 1:
            producer.flush()
            flushed = time.perf_counter()
    producer.flush()
    return BARS / (time.perf_counter() - began)


def _messages(services: Bed, count: int) -> Iterator[tuple[str, str]]:
    """Key and value of each bar, row by row."""
    with (
        psycopg.connect(services.connections.store_dsn.get_secret_value()) as connection,
        connection.cursor("rows") as cursor,
    ):
        for row in cursor.execute(QUERY, (count,)):
            yield f"{row[0]}:{row[1]}", json.dumps(dict(zip(FIELDS, row, strict=True)))


def _producer(services: Bed, extra: dict[str, Any]) -> tuple[Producer, str]:
    """A producer with acks from all, as confluent_kafka has it by default, and a topic of one partition."""
    topic = f"rival.{time.time_ns()}"
    ensure_topics(admin(services.connections, "bench"), [topic], 1)
    return Producer({"bootstrap.servers": services.connections.kafka_bootstrap, **extra}), topic
