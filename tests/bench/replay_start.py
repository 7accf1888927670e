"""Start time of a replay.

``replay-start``: from the start of the pod's process until a consumer of committed records has its first bar; the
median of seven, in seconds. The anchor is sent as soon as the pod reports that it waits for one, without lead time.
"""

from __future__ import annotations

import statistics
import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from bench.figures import Figure
from bench.replay_environment import SYMBOLS, BenchEnvironment, bench_environment, scaled
from pods.replay import ReplayProcess
from tapedeck_common.kafka import admin, consumer
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.wire import origin_of

BARS, RUNS = scaled(200_000), 7
WAIT_SECONDS = 60.0


def run() -> list[Figure]:
    """The figure, with a broker and a database of its own."""
    with bench_environment() as services:
        services.fill("x", BARS, SYMBOLS)
        services.unpaced("x", BARS)  # warms the broker up
        return [
            Figure(
                "replay-start",
                statistics.median(start_seconds(services, services.replay("x")) for _ in range(RUNS)),
                "s",
            )
        ]


def start_seconds(services: BenchEnvironment, replay: ReplayProcess, **anchor: int) -> float:
    """From the start of its pod until its first bar is read. ``anchor`` are values of its anchor, T0 without them."""
    ensure_topics(admin(services.connections, "bench"), [replay.topic], 1)  # the consumer is assigned before the start
    reader = consumer(services.connections, "bench", "bench")
    reader.assign([TopicPartition(replay.topic, 0, 0)])
    reader.poll(1.0)
    began = time.perf_counter()
    replay.begin(speed=1_000_000.0, lead_ms=0, **anchor)
    _first_bar(reader)
    took = time.perf_counter() - began
    reader.close()
    replay.kill()
    return took


def _first_bar(reader: Consumer) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        message = reader.poll(1.0)
        if message is None:
            continue
        fault = message.error()
        if fault is not None and fault.code() != KafkaError._PARTITION_EOF:
            raise RuntimeError(f"reading the first bar: {fault.str()}")
        if fault is None and not origin_of(message.headers()).control:
            return
    raise RuntimeError(f"no bar within {WAIT_SECONDS:g} s")
