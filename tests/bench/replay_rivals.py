"""A replay compared with two simple simulators, over the same bars of the same store. Bars a second.

``replay-vs-await``: a simulator that waits for the broker's acknowledgement of each message before the next.
``replay-vs-plain``: one that fetches rows from a cursor, encodes them with ``json.dumps``, and flushes every second.
Both are timed from their first row to their last acknowledgement, and guarantee less: they have neither transactions
nor a position.
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
from bench.replay_environment import SYMBOLS, BenchEnvironment, bench_environment, rate, scaled
from tapedeck_common.kafka import admin
from tapedeck_common.topic_admin import ensure_topics

BARS, AWAITED, RUNS = scaled(1_000_000), scaled(4_000), 3
FIELDS = ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume")
QUERY = (
    "SELECT exchange, symbol, interval, (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume "
    "FROM bars WHERE exchange = 'x' ORDER BY ts, symbol LIMIT %s"
)


def run() -> Iterator[Figure]:
    """Both figures, with a broker and a database of their own."""
    with bench_environment() as services:
        services.fill("x", BARS, SYMBOLS)
        services.unpaced("x", BARS)  # warms the broker up
        for name, rival in (("replay-vs-await", _awaiting), ("replay-vs-plain", _plain)):
            values, references = alternate(
                lambda: rate(services.unpaced("x", BARS)),
                partial(rival, services),
                RUNS,
            )
            yield against(name, values, references, "msg/s")


def _awaiting(services: BenchEnvironment) -> float:
    producer, topic = _producer(services, {"linger.ms": 0})
    began = time.perf_counter()
    for key, value in _messages(services, AWAITED):
        producer.produce(topic, value, key)
        producer.flush()
    return AWAITED / (time.perf_counter() - began)


def _plain(services: BenchEnvironment) -> float:
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


def _messages(services: BenchEnvironment, count: int) -> Iterator[tuple[str, str]]:
    """Key and value of each bar, row by row."""
    with (
        psycopg.connect(services.connections.store_dsn.get_secret_value()) as connection,
        connection.cursor("rows") as cursor,
    ):
        for row in cursor.execute(QUERY, (count,)):
            yield f"{row[0]}:{row[1]}", json.dumps(dict(zip(FIELDS, row, strict=True)))


def _producer(services: BenchEnvironment, extra: dict[str, Any]) -> tuple[Producer, str]:
    """A producer with confluent_kafka's defaults (acks=all), and a topic with one partition."""
    topic = f"rival.{time.time_ns()}"
    ensure_topics(admin(services.connections, "bench"), [topic], 1)
    return Producer({"bootstrap.servers": services.connections.kafka_bootstrap, **extra}), topic
