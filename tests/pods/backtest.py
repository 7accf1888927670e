"""A backtest's pod as a real process, a producer of a replay's topic, and a reader of the results topic."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from pods.signatures import RESULTS_KEY
from tapedeck_common import topics, wire
from tapedeck_common.kafka import admin, transactional_producer
from tapedeck_common.market import Bar, series_key
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_crds.run_key import run_key
from tapedeck_deck.embedded import forkserver
from tapedeck_deck.embedded.deadline import Deadline
from tapedeck_deck.embedded.forkserver import ForkedModule
from tapedeck_deck.embedded.processes import wait_exit

MINUTE = 60_000
EPOCH = wire.Epoch()


@dataclass
class BacktestPod:
    """``python -m tapedeck_backtest`` with the environment of the pod contract."""

    connections: Connections
    folder: Path
    spec: dict[str, Any]
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    replay_uid: str = ""
    shard: int = 0
    feed_exchange: str = ""
    since: str = ""
    process: ForkedModule | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.uid}.log"

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def start(self) -> None:
        shared = self.folder / "connections"
        shared.mkdir(parents=True, exist_ok=True)
        (shared / "kafka_bootstrap").write_text(self.connections.kafka_bootstrap)
        (shared / "store_dsn").write_text(self.connections.store_dsn.get_secret_value())
        (self.folder / "run-key").write_text(run_key(RESULTS_KEY, "default", self.uid))
        (self.folder / "port").unlink(missing_ok=True)
        environment = {
            "TMPDIR": str(self.folder),
            "TAPEDECK_NAME": "bt",
            "TAPEDECK_UID": self.uid,
            "TAPEDECK_SPEC": json.dumps(self.spec),
            "TAPEDECK_REPLAY_UID": self.replay_uid,
            "TAPEDECK_SHARD": str(self.shard),
            "TAPEDECK_FEED_EXCHANGE": self.feed_exchange,
            "TAPEDECK_SINCE": self.since,
            "TAPEDECK_CONNECTIONS": str(shared),
            "TAPEDECK_FILES": str(self.folder),
            "TAPEDECK_RUN_KEY_FILE": str(self.folder / "run-key"),
            "TAPEDECK_PORT_FILE": str(self.folder / "port"),
            "TAPEDECK_TERMINATION_LOG": str(self.folder / "termination"),
        }
        self.process = forkserver.start("tapedeck_backtest", log=self.log, env={**os.environ, **environment})

    def wait(self, timeout: float = 60) -> int:
        assert self.process is not None
        return wait_exit(self.process, timeout)

    def run(self) -> int:
        self.start()
        return self.wait()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        wait_exit(self.process, 30)

    def report(self) -> dict[str, Any]:
        """The termination message."""
        report: dict[str, Any] = json.loads((self.folder / "termination").read_text())
        return report


@dataclass
class ReplayTopic:
    """A replay's topic, written with the replay's own protocol."""

    connections: Connections
    symbols: Sequence[str]
    rows: dict[str, int] = field(default_factory=dict)
    shards: int = 1
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    published: int = 0

    def __post_init__(self) -> None:
        self.topic = topics.replay_topic(self.uid)
        ensure_topics(admin(self.connections, "tests"), [self.topic], self.shards)
        self.producer = transactional_producer(self.connections, self.uid)
        self.producer.init_transactions(30)

    def control(self, *records: wire.ControlRecord, epoch: wire.Epoch = EPOCH) -> None:
        for record in records:
            for shard in range(self.shards):
                self.producer.produce(
                    self.topic,
                    wire.encode(record),
                    partition=shard,
                    headers=wire.replay_headers(self.uid, epoch, control=True),
                )

    def start(self) -> None:
        self.producer.begin_transaction()
        self.control(
            wire.ReplayStart(
                self.uid,
                "tape",
                "default",
                msgspec.Raw(b"{}"),
                "x",
                list(self.symbols),
                "1m",
                0,
                0,
                dict.fromkeys(self.symbols, 0) | self.rows,
                "f",
            )
        )
        self.producer.commit_transaction(30)

    def bars(self, bars: Iterable[Bar], size: int = 500) -> None:
        """Publish transactions of ``size`` bars, each with its watermark."""
        rest = iter(bars)
        while chunk := list(islice(rest, size)):
            self.transaction(chunk)

    def transaction(self, bars: Sequence[Bar]) -> None:
        self.producer.begin_transaction()
        for bar in bars:
            key = series_key(bar.exchange, bar.symbol)
            self.producer.produce(
                self.topic,
                wire.encode(bar),
                key,
                partition=topics.shard_of(key, self.shards),
                headers=wire.replay_headers(self.uid, EPOCH),
            )
        self.published += len(bars)
        # The next transaction may contain a bar of the last event time, so the watermark is just before it.
        self.control(wire.Watermark("0.0", bars[-1].ts + MINUTE - 1, None, self.published))
        self.producer.commit_transaction(30)

    def end(self, v: int) -> None:
        self.producer.begin_transaction()
        self.control(wire.Watermark("0.0", v, None, self.published), wire.ReplayEnd("0.0", v, self.published))
        self.producer.commit_transaction(30)


def result_values(connections: Connections, run_id: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every committed record of a run, in order: its record timestamp (ms UTC), and its decoded JSON."""
    reader = Consumer(
        {
            "bootstrap.servers": connections.kafka_bootstrap,
            "group.id": uuid.uuid4().hex,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    verifier = ResultVerifier(RESULTS_KEY)
    try:
        partitions = [TopicPartition(topics.RESULTS, p, 0) for p in range(topics.PERMANENT_PARTITIONS)]
        ends = {each.partition: reader.get_watermark_offsets(each, timeout=60)[1] for each in partitions}
        unread = {partition for partition, end in ends.items() if end}
        reader.assign([each for each in partitions if each.partition in unread])
        deadline = Deadline(60)
        while unread and not deadline.passed():
            message = reader.poll(1.0)
            if message is None:
                continue
            value, key, partition, offset = message.value(), message.key(), message.partition(), message.offset()
            assert value is not None and partition is not None and offset is not None
            if offset + 1 >= ends[partition]:
                unread.discard(partition)
            if key == run_id.encode():
                assert verifier.namespace(run_id, value, message.headers()) == "default"
                yield message.timestamp()[1], json.loads(value)
        assert not unread, "the topic could not be read to its end"
    finally:
        reader.close()


@dataclass
class RunRecords:
    """The records of a run on the topic without repeats, which ``repeats`` counts."""

    fills: dict[int, dict[str, Any]] = field(default_factory=dict)
    trades: dict[int, dict[str, Any]] = field(default_factory=dict)
    equity: dict[int, tuple[int, float, float]] = field(default_factory=dict)
    figures_by_seq: dict[int, tuple[float | None, ...]] = field(default_factory=dict)
    started: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    repeats: int = 0

    def add(self, kind: dict[Any, Any], key: Any, content: Any) -> None:
        if key in kind:
            self.repeats += 1
            assert kind[key] == content, f"{key} was published twice with different content"
        kind[key] = content

    @property
    def content(self) -> tuple[Any, ...]:
        """Everything that must not depend on kills: all but run id and wall-clock times."""
        for kind in (self.fills, self.trades, self.equity, self.figures_by_seq):
            assert sorted(kind) == list(range(len(kind)))
        return (
            *map(_anonymous, (self.fills, self.trades)),
            self.equity,
            self.figures_by_seq,
            self.started["once"],
            self.ended["once"],
        )


def _anonymous(kind: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in kind[seq].items() if k != "run_id"} for seq in sorted(kind)]


def read_records(connections: Connections, run_id: str) -> RunRecords:
    """Read a run's records. Fails if a repeat has different content."""
    records = RunRecords()
    kinds = {"fill": records.fills, "trade": records.trades}
    for _, value in result_values(connections, run_id):
        kind = value.pop("type")
        if kind in kinds:
            records.add(kinds[kind], value["seq"], value)
        elif kind == "equity":
            for i, point in enumerate(zip(value["ts"], value["value"], value["cash"], strict=True)):
                records.add(records.equity, value["seq"] + i, point)
            figures = (value["change_percent"], value["drawdown_percent"], value["sharpe"])
            for i, figure in enumerate(zip(*figures, strict=True)):
                records.add(records.figures_by_seq, value["seq"] + i, figure)
        elif kind in ("run", "end"):
            once = {k: v for k, v in value.items() if k not in ("run_id", "started_at", "ended_at", "replay_uid")}
            records.add(records.started if kind == "run" else records.ended, "once", once)
    return records
