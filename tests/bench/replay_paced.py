"""Lateness of a paced replay: the 99th percentile of all bars, in milliseconds.

``replay-lateness-p99``, ``replay-lateness-p99-1k``: 10,000 or 1,000 bars a second for ten seconds, from the time at
which a bar is to be published to its handover to the producer (the record's timestamp), commits included.
``replay-visible-p99``: at 1,000 bars a second, from that time until a consumer of committed records receives the bar.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from confluent_kafka import Message, TopicPartition

from bench.figures import Figure
from bench.replay_environment import BenchEnvironment, bench_environment, scaled
from pods.replay import MINUTE, T0, committed
from tapedeck_common.kafka import consumer
from tapedeck_common.market import Bar
from tapedeck_common.wire import decode_bar, origin_of
from tapedeck_crds.json import Json

SECONDS_BARS = scaled(10_000)
FAST, SLOW = 10, 1  # bars a millisecond
WAIT_SECONDS = 120.0


def run() -> Iterator[Figure]:
    """The figures, with a broker and a database of their own."""
    with bench_environment() as services:
        services.fill("fast", FAST * SECONDS_BARS, ["BTC/USD"])
        services.fill("slow", SLOW * SECONDS_BARS, ["BTC/USD"])
        _lateness(services, "slow", SLOW)  # warms the broker up
        yield Figure("replay-lateness-p99", _lateness(services, "fast", FAST), "ms")
        yield Figure("replay-lateness-p99-1k", _lateness(services, "slow", SLOW), "ms")
        yield Figure("replay-visible-p99", _visible(services), "ms")


def _lateness(services: BenchEnvironment, exchange: str, each_ms: int) -> float:
    replay = services.replay(exchange)
    anchor = replay.begin(speed=float(MINUTE * each_ms), lead_ms=500)
    if replay.wait(WAIT_SECONDS) != 0:
        raise RuntimeError(f"the replay failed: {replay.last_report()}")
    played = [r for r in committed(services.connections.kafka_bootstrap, replay.topic) if r.kind == "bar"]
    return _p99([r.stamp - _publish_at(anchor, r.value["ts"], each_ms) for r in played])


def _visible(services: BenchEnvironment) -> float:
    replay = services.replay("slow")
    replay.start()
    replay.until(lambda report: report["state"] == "waiting")
    seen: list[tuple[float, Message]] = []
    reader = threading.Thread(target=_read, args=(services, replay.topic, seen))
    reader.start()
    anchor = replay.anchor(speed=float(MINUTE * SLOW), lead_ms=1_000)
    exit_code = replay.wait(WAIT_SECONDS)
    reader.join(WAIT_SECONDS)
    bars = [(at, bar) for at, message in seen if (bar := _bar(message)) is not None]
    if exit_code != 0 or len(bars) != SLOW * SECONDS_BARS:
        raise RuntimeError(f"{len(bars)} bars arrived: {replay.last_report()}")
    return _p99([at - _publish_at(anchor, bar.ts, SLOW) for at, bar in bars])


def _read(services: BenchEnvironment, topic: str, seen: list[tuple[float, Message]]) -> None:
    """Collect every record with its time of arrival, until all bars have arrived."""
    reader = consumer(services.connections, "bench", "bench")
    reader.assign([TopicPartition(topic, 0, 0)])
    deadline = time.monotonic() + WAIT_SECONDS
    left = SLOW * SECONDS_BARS
    while left and time.monotonic() < deadline:
        first = reader.poll(0.1)
        if first is None:
            continue
        messages = [first, *reader.consume(10_000, 0)]
        now = time.time() * 1000
        seen += [(now, message) for message in messages]
        left -= sum(_bar(message) is not None for message in messages)
    reader.close()


def _bar(message: Message) -> Bar | None:
    return None if origin_of(message.headers()).control else decode_bar(message.value() or b"")


def _publish_at(anchor: Json, ts: int, each_ms: int) -> float:
    return float(anchor["w0"] + (ts + MINUTE - T0) / (MINUTE * each_ms))


def _p99(late: list[float]) -> float:
    return max(0.0, sorted(late)[len(late) * 99 // 100])
