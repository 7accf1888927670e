"""Throughput of an unpaced replay of the store.

``replay-unpaced``: the real pod plays 2,000,000 seeded bars from the store onto its topic, in transactions, with its
header. Timed from its anchor's w0, before its first transaction, until its log reports the commit of the end record;
bars a second. The reference is the throughput that Kafka's ProducerPerformance reports for the same values and number
of partitions.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from bench.figures import Figure, against, alternate
from bench.replay_environment import SETTLE_SECONDS, SYMBOLS, bench_environment, rate, scaled
from tapedeck_common.kafka import admin
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_deck.embedded.jars import BROKER, KAFKA, class_path, read_list
from tapedeck_deck.embedded.jvm import java

TOOLS = f"org.apache.kafka:kafka-tools:{KAFKA}"
TOOLS_LIST = Path(__file__).with_name("kafka_tools.txt")  # what it needs besides the broker's jars
BARS, RUNS = scaled(2_000_000), 5
PAYLOAD_LINES = scaled(500_000)


def run() -> list[Figure]:
    """The figure, with a broker and a database of its own."""
    with bench_environment() as services:
        services.fill("x", BARS, SYMBOLS)
        topic = services.unpaced("x", BARS).topic  # also warms the broker up
        payload = _payload(services.folder, services.connections, topic)
        values, references = alternate(
            lambda: rate(services.unpaced("x", BARS)), lambda: _reference(services.connections, payload), RUNS
        )
        return [against("replay-unpaced", values, references, "msg/s")]


def _payload(folder: Path, connections: Connections, topic: str) -> Path:
    """A file with the values of a replay's bars, one per line."""
    path = folder / "payload"
    consumer = Consumer({"bootstrap.servers": connections.kafka_bootstrap, "group.id": "payload"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    written = 0
    with path.open("wb") as lines:
        while written < PAYLOAD_LINES and (messages := consumer.consume(10_000, 20)):
            values = [m.value() or b"" for m in messages]
            bars = [v for v in values if v.startswith(b'{"exchange"')]
            lines.write(b"\n".join(bars) + b"\n")
            written += len(bars)
    consumer.close()
    if written < PAYLOAD_LINES:
        raise RuntimeError(f"{topic}: only {written} bars could be read")
    return path


def _reference(connections: Connections, payload: Path) -> float:
    topic = f"reference.{time.time_ns()}"
    ensure_topics(admin(connections, "bench"), [topic], 1)
    time.sleep(SETTLE_SECONDS)
    done = subprocess.run(
        [
            java(), "-Xmx2g", "-cp", class_path((*BROKER, TOOLS), [*read_list(), *read_list(TOOLS_LIST)]),
            "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", str(BARS),
            "--throughput", "-1", "--payload-file", payload, "--producer-props",
            f"bootstrap.servers={connections.kafka_bootstrap}", "acks=all", "compression.type=lz4",
            "linger.ms=20", f"batch.size={256 * 1024}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    sent = re.findall(rf"^{BARS} records sent, ([0-9.,]+) records/sec", done.stdout, re.MULTILINE)
    if done.returncode or not sent:
        raise RuntimeError(f"ProducerPerformance failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    return float(sent[-1].replace(",", "."))
