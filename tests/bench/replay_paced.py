"""Lateness and visibility of a paced replay: the 99th percentile of all bars, in milliseconds.

``replay-lateness-p99``, ``replay-lateness-p99-1k``: 10,000 or 1,000 bars a second for ten seconds, from the time at
which a bar is to be published to its handover to the producer (the record's timestamp), commits included.
``replay-visible-p99``: at 1,000 bars a second, from that time until a consumer of committed records receives the bar.

Both depend on the machine. The reference is a plain transactional producer in turn with it, which is paced by the same
clock, commits as often, and waits for each commit.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from confluent_kafka import Message, TopicPartition

from bench.figures import Figure, against, alternate
from bench.replay_environment import SETTLE_SECONDS, BenchEnvironment, bench_environment, scaled
from pods.replay import MINUTE, T0
from tapedeck_common.kafka import admin, consumer
from tapedeck_common.market import Bar
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.wire import decode_bar, origin_of

SECONDS_BARS = scaled(10_000)
FAST, SLOW, RUNS = 10, 1, 3  # bars a millisecond
WAIT_SECONDS = 120.0
Seen = list[tuple[float, Message]]  # the time at which a record arrived, ms


def run() -> Iterator[Figure]:
    """The figures, with a broker and a database of their own."""
    with bench_environment() as services:
        for per_ms in (FAST, SLOW):
            services.fill(str(per_ms), per_ms * SECONDS_BARS, ["BTC/USD"])
        _replayed(services, SLOW, read_meanwhile=False)  # warms the broker up
        for name, per_ms, read_meanwhile in (
            ("replay-lateness-p99", FAST, False),
            ("replay-lateness-p99-1k", SLOW, False),
            ("replay-visible-p99", SLOW, True),
        ):
            ours, plain = (partial(side, services, per_ms, read_meanwhile) for side in (_replayed, _plain))
            yield against(name, *alternate(ours, plain, RUNS), "ms")


def _replayed(services: BenchEnvironment, per_ms: int, read_meanwhile: bool) -> float:
    replay = services.replay(str(per_ms))
    replay.start()
    replay.until(lambda report: report["state"] == "waiting")
    with _reading(services, replay.topic, per_ms, read_meanwhile) as seen:
        anchor = replay.anchor(speed=float(MINUTE * per_ms), lead_ms=1_000)
        if replay.wait(WAIT_SECONDS) != 0:
            raise RuntimeError(f"the replay failed: {replay.last_report()}")
    return _p99(seen, anchor["w0"], per_ms, read_meanwhile)


def _plain(services: BenchEnvironment, per_ms: int, read_meanwhile: bool) -> float:
    topic = f"plain.{time.time_ns()}"
    ensure_topics(admin(services.connections, "bench"), [topic], 1)
    time.sleep(SETTLE_SECONDS)
    command = [sys.executable, "-m", "bench.paced_plain", services.connections.kafka_bootstrap, topic]
    with _reading(services, topic, per_ms, read_meanwhile) as seen:
        done = subprocess.run(
            [*command, str(per_ms * SECONDS_BARS), str(per_ms)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
        )
        if done.returncode:
            raise RuntimeError(f"the plain producer ended with {done.returncode}: {done.stderr[-1_000:]}")
    return _p99(seen, float(done.stdout), per_ms, read_meanwhile)


@contextmanager
def _reading(services: BenchEnvironment, topic: str, per_ms: int, meanwhile: bool) -> Iterator[Seen]:
    """What is on the topic at the end, read while the block runs or after it."""
    seen: Seen = []
    reader = threading.Thread(target=_read, args=(services, topic, per_ms * SECONDS_BARS, seen))
    if meanwhile:
        reader.start()
    yield seen
    if not meanwhile:
        reader.start()
    reader.join(WAIT_SECONDS)
    if len(seen) != per_ms * SECONDS_BARS:
        raise RuntimeError(f"{len(seen)} bars arrived, expected {per_ms * SECONDS_BARS}")


def _read(services: BenchEnvironment, topic: str, expected: int, seen: Seen) -> None:
    """Collect the bars with their times of arrival, until all have arrived."""
    reader = consumer(services.connections, "bench", "bench")
    reader.assign([TopicPartition(topic, 0, 0)])
    deadline = time.monotonic() + WAIT_SECONDS
    while len(seen) < expected and time.monotonic() < deadline:
        first = reader.poll(0.1)
        if first is None:
            continue
        messages = [first, *reader.consume(10_000, 0)]
        now = time.time() * 1_000
        seen += [(now, message) for message in messages if _is_bar(message)]
    reader.close()


def _is_bar(message: Message) -> bool:
    return message.error() is None and not origin_of(message.headers()).control


def _p99(seen: Seen, w0: float, per_ms: int, arrived: bool) -> float:
    """Of the times from that of publishing until the arrival, or until the timestamp."""
    late = [
        (at if arrived else message.timestamp()[1]) - _publish_at(decode_bar(message.value() or b""), w0, per_ms)
        for at, message in seen
    ]
    return max(0.0, sorted(late)[len(late) * 99 // 100])


def _publish_at(bar: Bar, w0: float, per_ms: int) -> float:
    return float(w0 + (bar.ts + MINUTE - T0) / (MINUTE * per_ms))
