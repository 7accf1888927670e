"""A recorder process, publishing records for it, and reading what it stored."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psycopg
import stamina
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from pods.signatures import RESULTS_KEY, signed
from tapedeck_common import topics
from tapedeck_common.kafka import is_transient, producer
from tapedeck_common.market import Bar, RecordSource
from tapedeck_common.settings import Connections
from tapedeck_common.wire import Headers, market_headers
from tapedeck_deck.embedded import forkserver, processes
from tapedeck_deck.embedded.pods import Start
from tapedeck_deck.embedded.processes import Process
from tapedeck_recorder.rows.bar_batch import BarBatch
from tapedeck_recorder.rows.bar_rows import BarCollector
from waits import eventually as eventually

MINUTE = 60_000
T0 = 1_522_800_000_000
FENCED = 75
TEMPORARY = 1


class RecorderProcess:
    """``python -m tapedeck_recorder`` as a pod would run it."""

    def __init__(self, folder: Path, bootstrap: str, dsn: str) -> None:
        self.home = folder / f"recorder-{uuid.uuid4().hex[:6]}"
        (self.home / "connections").mkdir(parents=True)
        (self.home / "connections" / "kafka_bootstrap").write_text(bootstrap)
        (self.home / "connections" / "store_dsn").write_text(dsn)
        (self.home / "results-key").write_bytes(RESULTS_KEY)
        self.options: dict[str, Any] = {}
        self.launch: Start = forkserver.start
        self.process: Process | None = None

    def start(self, *, wait: bool = True) -> None:
        (self.home / "port").unlink(missing_ok=True)
        self.process = self.launch(
            "tapedeck_recorder",
            [],
            cwd=Path.cwd(),
            log=self.home / "log",
            env={
                "PATH": os.environ["PATH"],
                "TMPDIR": str(self.home),
                "TAPEDECK_CONNECTIONS": str(self.home / "connections"),
                "TAPEDECK_SPEC": json.dumps(self.options),
                "TAPEDECK_SINKS": str(self.home / "sinks"),
                "TAPEDECK_RESULTS_KEY_FILE": str(self.home / "results-key"),
                "TAPEDECK_PORT_FILE": str(self.home / "port"),
                "TAPEDECK_TERMINATION_LOG": str(self.home / "termination"),
            },
        )
        if wait:
            eventually(self.ready)

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.home / "log").read_text()[-2000:]
        return self.get("/readyz") == "ok"

    def get(self, path: str) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{(self.home / 'port').read_text()}{path}", timeout=60) as answer:
                return str(answer.read().decode())
        except (URLError, FileNotFoundError, ConnectionError, TimeoutError):
            return ""

    def metric(self, name: str) -> float:
        lines = [line.rsplit(" ", 1) for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return sum(float(value) for _, value in lines)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        processes.wait_exit(self.process, 30)

    def stop(self) -> int:
        """Send SIGTERM; returns the exit code."""
        assert self.process is not None
        return processes.stop(self.process, grace=15)

    def exit_code(self) -> int:
        """The exit code of a recorder that ends by itself."""
        assert self.process is not None
        return processes.wait_exit(self.process, 60)

    def restart_ended(self) -> None:
        """Start a recorder again that ended by itself: another fenced it, or a service does not answer."""
        code, told = self.exit_code(), (self.home / "termination").read_text()
        assert (code, "Fenced" in told) in ((FENCED, True), (TEMPORARY, False)), told
        self.start(wait=False)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@contextmanager
def recorders(folder: Path, bootstrap: str, dsn: str, count: int = 1) -> Iterator[list[RecorderProcess]]:
    """Recorders that are not started; stopped afterwards."""
    created = [RecorderProcess(folder, bootstrap, dsn) for _ in range(count)]
    try:
        yield created
    finally:
        for recorder in created:
            if recorder.running():
                recorder.stop()
            if recorder.process is not None:  # shown where a test failed
                print(recorder.home.name, recorder.process.poll(), (recorder.home / "log").read_text()[-4000:])


Record = tuple[str, bytes | None, str, Headers | None]  # topic, value, key, headers
LIVE, BACKFILL = market_headers("live"), market_headers("backfill")


def publish(broker: str | dict[str, str], records: Sequence[Record]) -> None:
    """Publish records; the key decides the partition. ``broker`` is an address, or what a client needs.

    Results without headers are signed.
    """
    # An idempotent producer would first wait half a second for its id.
    config = {"queue.buffering.max.messages": 1_000_000, "enable.idempotence": False, "max.in.flight": 1}  # in order
    account = {"bootstrap.servers": broker} if isinstance(broker, str) else broker
    client = producer(Connections(), "test", config | account)
    errors: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            errors.append(error)

    for topic, value, key, headers in records:
        if topic == topics.RESULTS and headers is None and value is not None:
            headers = signed(value)
        client.produce(topic, value, key, headers=headers, on_delivery=delivered)
        client.poll(0)
    assert client.flush(60) == 0
    assert not errors, errors[0]


@stamina.retry(on=is_transient, attempts=10, timeout=30.0, wait_max=1.0)
def ends(bootstrap: str) -> dict[tuple[str, int], int]:
    """The end offset of each partition of the standing topics, without empty partitions."""
    client = Consumer({"bootstrap.servers": bootstrap, "group.id": "test-ends"})
    try:
        found = {
            (topic, p): client.get_watermark_offsets(TopicPartition(topic, p), timeout=60)[1]
            for topic in topics.PERMANENT_TOPICS
            for p in range(topics.PERMANENT_PARTITIONS)
        }
    finally:
        client.close()
    return {place: end for place, end in found.items() if end}


def recorded_ends(dsn: str) -> dict[tuple[str, int], int]:
    """The stored next offset of each partition, without partitions of which nothing is recorded."""
    query = "SELECT topic, partition, next_offset FROM kafka_offsets WHERE next_offset > 0"
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(query).fetchall()
    return {(topic, partition): following for topic, partition, following in rows}


def caught_up(bootstrap: str, dsn: str, *, timeout: float = 60.0, restarted: Sequence[RecorderProcess] = ()) -> None:
    """Wait until the stored offset of every partition is the end of the log, which may still grow.

    Those of ``restarted`` that end for a time, or because another took over, are started again, as on a node.
    """
    there, now = ends(bootstrap), recorded_ends(dsn)

    def check() -> bool:
        nonlocal now, there
        for recorder in restarted:
            if not recorder.running():
                recorder.restart_ended()
        now = recorded_ends(dsn)
        if any(following > there.get(place, 0) for place, following in now.items()):
            there = ends(bootstrap)
        return now == there

    eventually(check, timeout, progress=lambda: now)


def unrecorded(broker: dict[str, str], dsn: str) -> list[tuple[str, int]]:
    """The partitions of the standing topics with a committed record beyond the stored offset.

    ``broker`` is what a client needs. Markers of transactions are no records: offsets may end before them.
    """
    following = recorded_ends(dsn)
    config = {"group.id": "test-unrecorded", "enable.auto.commit": False, "enable.partition.eof": True}
    client = Consumer({**broker, **config, "isolation.level": "read_committed"})
    found = []
    try:
        for place in ((topic, p) for topic in topics.PERMANENT_TOPICS for p in range(topics.PERMANENT_PARTITIONS)):
            low, high = client.get_watermark_offsets(TopicPartition(*place), timeout=60)
            if (start := max(low, following.get(place, 0))) < high:
                client.assign([TopicPartition(*place, start)])
                message = client.poll(60)
                assert message is not None, f"neither a record nor the end of {place} was seen in 60 s"
                if message.error() is None:
                    found.append(place)
    finally:
        client.close()
    return found


def bar_batch(bars: Sequence[Bar], sources: Sequence[RecordSource]) -> BarBatch:
    """The batch of a ``BarCollector`` that got these bars at once."""
    collector = BarCollector()
    collector.add(bars, sources)
    return collector.batch()


def select(dsn: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query, parameters).fetchall()
