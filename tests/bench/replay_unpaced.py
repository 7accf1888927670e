"""A replay of the store, as fast as it goes and at a set pace.

``replay-unpaced``: the real pod plays 2,000,000 seeded bars from the store onto its topic, in
transactions, with its header. Timed from the instant that its anchor sets (before its first
transaction begins) until its log says that the transaction with the end record is committed; bars a
second. The reference is Kafka's ProducerPerformance with the same values on a topic of as many
partitions: its own figure.

``replay-lateness-p99``: 10,000 bars, one each millisecond of wall time, from when a bar is due until it
is handed to the producer, commits included; milliseconds, measured by the records' own timestamps.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from pydantic import SecretStr

from bench.figures import Figure, against, alternate
from pods.replay import MINUTE, T0, ReplayProcess, committed, insert_minutes
from tapedeck.kafka import admin, ensure_topics
from tapedeck.settings import Connections
from tapedeck.store.migrate import migrate
from tapedeck_operator.local.broker import BROKER_JARS, KAFKA, Broker, jars
from tapedeck_operator.local.jvm import java
from tapedeck_operator.local.ports import free_port
from tapedeck_operator.local.postgres import Postgres

BARS, SYMBOLS, RUNS = 2_000_000, ["BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR"], 5
PACED_BARS = 10_000
PAYLOAD_LINES = 500_000
SETTLE_SECONDS = 2.0


def run() -> list[Figure]:
    """Both figures, on a broker and a database of their own."""
    with tempfile.TemporaryDirectory() as text, _deck(Path(text)) as connections:
        folder = Path(text)
        dsn = connections.store_dsn.get_secret_value()
        insert_minutes(dsn, "x", SYMBOLS, BARS // len(SYMBOLS))
        insert_minutes(dsn, "paced", ["BTC/USD"], PACED_BARS)
        payload = _payload(folder, connections, _unpaced(folder, connections).topic)  # which warms the broker up too
        values, references = alternate(
            lambda: _rate(_unpaced(folder, connections)), lambda: _reference(connections, payload), RUNS
        )
        return [
            against("replay-unpaced", values, references, "msg/s"),
            Figure("replay-lateness-p99", _lateness_p99(folder, connections), "ms"),
        ]


@contextmanager
def _deck(folder: Path) -> Iterator[Connections]:
    broker, postgres = Broker(folder / "kafka", free_port()), Postgres(folder / "postgres")
    try:
        broker.launch()
        postgres.start()
        broker.wait_ready()
        migrate(postgres.dsn())
        yield Connections(kafka_bootstrap=broker.bootstrap, store_dsn=SecretStr(postgres.dsn()))
    finally:
        broker.stop()
        postgres.stop()


def _unpaced(folder: Path, connections: Connections) -> ReplayProcess:
    replay = ReplayProcess(folder / "pods", connections, {"source": {"store": {"exchange": "x", "symbols": SYMBOLS}}})
    time.sleep(SETTLE_SECONDS)  # what the run before left to the broker
    replay.begin(unpaced=True, lead_ms=500)
    if replay.wait(300) != 0 or replay.last_report()["published"] != BARS:
        raise RuntimeError(f"the replay failed: {replay.last_report()}")
    return replay


def _rate(replay: ReplayProcess) -> float:
    report = replay.last_report()
    return float(BARS / ((replay.ended_at_ms() - report["anchor"]["w0"]) / 1000))


def _payload(folder: Path, connections: Connections, topic: str) -> Path:
    """The values of a replay's bars, one a line."""
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
            java(), "-Xmx2g", "-cp", jars((*BROKER_JARS, f"org.apache.kafka:kafka-tools:{KAFKA}")),
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


def _lateness_p99(folder: Path, connections: Connections) -> float:
    replay = ReplayProcess(
        folder / "pods", connections, {"source": {"store": {"exchange": "paced", "symbols": ["BTC/USD"]}}}
    )
    time.sleep(SETTLE_SECONDS)
    anchor = replay.begin(speed=60_000.0, lead_ms=500)
    if replay.wait(60) != 0:
        raise RuntimeError(f"the replay failed: {replay.last_report()}")
    played = [r for r in committed(connections.kafka_bootstrap, replay.topic) if r.kind == "bar"]
    late = sorted(r.stamp - (anchor["w0"] + (r.value["ts"] + MINUTE - T0) / 60_000) for r in played)
    return max(0.0, late[len(late) * 99 // 100])
