"""A broker that loses the last records of its topics, as after a power failure: nothing is skipped silently."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import stamina
from confluent_kafka import KafkaError, Message

from pods.machine import Machine, lose_tail
from pods.recorder import T0, caught_up, ends, recorders
from pods.replay import (
    ReplayProcess,
    check_whole,
    committed,
    ended_afterwards,
    insert_minutes,
    played_to_the_end,
    stored,
)
from pods.sink import line_protocol_server
from pods.topic import forget_topic, read_topic
from pods.transform import TransformProcess
from tapedeck_common import topics
from tapedeck_common.kafka import admin, consumer, is_transient, producer
from tapedeck_common.log_positions import LogPosition, Partition, message_offset
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_transform.offsets import GroupOffsets, ResumePoint
from waits import eventually

ROUNDS = max(2, int(os.environ.get("TAPEDECK_FAULTS", "2")) // 2 * 2)
OVER = 20
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]
pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.mark.timeout(60 + 60 * ROUNDS)
def test_records_in_the_place_of_lost_ones_are_recorded_and_delivered(machine: Machine) -> None:
    """Store and sink have offsets at which the log, once it has grown again, holds other records.

    In one half of the rounds the recorder runs on; in the other it is down meanwhile, and has only what it stored.
    """
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with (
        line_protocol_server() as (url, lines),
        recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,),
    ):
        recorder.options = {"sinks": [{"name": f"s-{uuid.uuid4().hex[:8]}", "url": url, "records": ["bars"]}]}
        recorder.start()
        for number in range(ROUNDS):
            machine.publish(200)
            caught_up(machine.broker.bootstrap, machine.dsn)
            eventually(partial(_delivered, lines, machine.published), progress=partial(len, lines))
            before = ends(machine.broker.bootstrap)
            reported = machine.reported_losses()
            if number % 2:
                assert recorder.stop() == 0
            machine.broker.kill()
            for topic in (topics.MARKET_BARS, topics.MARKET_TRADES):
                assert lose_tail(machine.broker, topic, 100) > 0
            machine.broker.start()
            machine.publish(300)
            grown = ends(machine.broker.bootstrap)
            assert sum(grown.get(place, 0) > end for place, end in before.items()) > 5
            if number % 2:
                recorder.start()
            eventually(partial(_more_reported, machine, reported))
            machine.check()
            eventually(partial(_delivered, lines, machine.published), progress=partial(len, lines))
            assert recorder.running()


def _delivered(lines: list[bytes], minutes: int) -> bool:
    """Whether the sink has each minute of the twelve series."""
    return len(set(lines)) == 12 * minutes


@pytest.mark.timeout(60 + 60 * ROUNDS)
@pytest.mark.parametrize("lost", [topics.MARKET_TRADES, topics.MARKET_POINTS])
def test_each_trade_has_its_point_where_the_broker_lost_records_or_points(
    machine: Machine, tmp_path: Path, lost: str
) -> None:
    """The pod runs on in one half of the rounds; in the other it is down meanwhile, and has only its offsets."""
    prices = {"name": "prices", "channel": "trades", "filter": {"above": 0}}
    spec = {"exchange": "x", "symbols": ["S*"], "channels": ["trades"], "transforms": [prices]}
    transforms = TransformProcess(tmp_path, machine.connections, "Feed", spec, str(uuid.uuid4()))
    transforms.start()
    first = machine.published
    try:
        for number in range(ROUNDS):
            machine.publish(200)
            eventually(partial(_transformed, machine, first))
            if number % 2:
                assert transforms.stop() == 0
            machine.broker.kill()
            assert lose_tail(machine.broker, lost, 5_000 if lost == topics.MARKET_POINTS else 100) > 0
            machine.broker.start()
            forget_topic(machine.broker.bootstrap, topics.MARKET_POINTS)
            machine.publish(300)
            if number % 2:
                transforms.start()
            eventually(partial(_transformed_by_the_next_pod, transforms, machine, first))
    finally:
        transforms.kill()


def _transformed(machine: Machine, first: int) -> bool:
    """Whether each trade since the minute ``first`` has its point."""
    found = {point["ts"] - T0 for _, point, _ in read_topic(machine.broker.bootstrap, topics.MARKET_POINTS, "x")}
    return found.issuperset(range(first, machine.published))


def _transformed_by_the_next_pod(transforms: TransformProcess, machine: Machine, first: int) -> bool:
    """As ``_transformed``; a pod that has ended is started again, as by its operator."""
    if not transforms.running():
        transforms.start()
    return _transformed(machine, first)


def _more_reported(machine: Machine, reported: int) -> bool:
    return machine.reported_losses() > reported


@pytest.mark.timeout(60 + 60 * ROUNDS)
@pytest.mark.parametrize("killed", [True, False])
def test_a_replay_publishes_again_what_the_broker_lost(machine: Machine, tmp_path: Path, killed: bool) -> None:
    """Of a pod that ends with the broker, and of one that goes on: its commits were acknowledged."""
    exchange = "killed" if killed else "running"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 3_000)
    for _ in range(ROUNDS // 2):
        replay = ReplayProcess(
            tmp_path, machine.connections, {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}}
        )
        with ended_afterwards(replay):
            replay.begin(speed=6_000.0, hold=True)  # half a minute
            replay.until(lambda r: r["published"] > 600)
            if killed:
                replay.kill()
            machine.broker.kill()
            assert lose_tail(machine.broker, replay.topic, 5_000) == 5_000
            machine.broker.start()
            if killed:
                replay.start()
            code = played_to_the_end(replay)
        assert code == 0
        check_whole(committed(machine.broker.bootstrap, replay.topic), machine.dsn, exchange)


@pytest.mark.timeout(60 + 60 * ROUNDS)
@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("lost", ["replay", "points"])
def test_the_transforms_of_a_replay_are_complete_where_the_broker_lost_records_or_points(
    machine: Machine, tmp_path: Path, lost: str, killed: bool
) -> None:
    """The transforms' pod runs on, or is down meanwhile and has only its offsets."""
    exchange = f"{lost}-killed" if killed else f"{lost}-running"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 3_000)
    mean = {"name": "mean", "sma": {"over": OVER}}
    spec = {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}, "transforms": [mean]}
    for _ in range(ROUNDS // 2):
        replay = ReplayProcess(tmp_path, machine.connections, spec)
        transforms = TransformProcess(tmp_path, machine.connections, "Replay", spec, replay.uid)
        with ended_afterwards(replay):
            transforms.start()
            try:
                replay.begin(speed=6_000.0, hold=True)  # half a minute
                eventually(partial(_published_points, transforms, 900))
                if killed:
                    assert transforms.stop() == 0
                machine.broker.kill()
                assert lose_tail(machine.broker, f"tapedeck.{lost}.{replay.uid}", 20_000) == 20_000
                machine.broker.start()
                code = played_to_the_end(replay)
                if killed:
                    transforms.start()
                eventually(partial(_complete_in_the_next_pod, transforms))
            finally:
                transforms.kill()
        assert code == 0
        if killed:  # it had committed all; one that runs on may have been a moment behind
            told = {"replay": "the broker lost processed records", "points": "the broker lost points"}
            assert told[lost] in (transforms.home / "log").read_text()
        topic = f"tapedeck.points.{replay.uid}"
        found: dict[tuple[str, int], set[float]] = {}
        for _, point, _ in read_topic(machine.broker.bootstrap, topic, exchange):
            found.setdefault((point["symbol"], point["ts"]), set()).add(point["value"])
        assert all(len(values) == 1 for values in found.values())  # repeats are equal
        assert {key: value for key, (value,) in found.items()} == pytest.approx(_means(machine.dsn, exchange))


class _Transforms:
    """The offsets of one pod of transforms after another: two topics' records have their points on one partition."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._group = f"tapedeck-transform-{uuid.uuid4()}"
        self.bars, self.trades, self.points = ((f"tests.{name}.{self._group}", 0) for name in ("b", "t", "p"))
        self.topics = [self.bars[0], self.trades[0]]
        ensure_topics(admin(machine.connections, "tests"), [*self.topics, self.points[0]], 1)
        self.publish(self.bars, 9)
        self.publish(self.trades, 9)

    @contextmanager
    def pod(self) -> Iterator[tuple[GroupOffsets, dict[Partition, int]]]:
        """Its offsets, and from where on it publishes the points of each partition."""
        connections = self._machine.connections
        reader = consumer(connections, self._group, self._group)
        try:
            offsets = GroupOffsets(connections, self._group, reader, (), lambda _: [self.points])
            started = stamina.retry(on=is_transient, attempts=50)  # by its operator, until the broker has coordinators
            resumed = started(offsets.resume_points)(self.topics, None)
            yield offsets, {key: at.publish_from.offset for key, at in resumed.items()}
        finally:
            reader.close()

    def publish(self, place: Partition, count: int) -> int:
        """Publish records as one batch; returns the last one's offset."""
        client = producer(self._machine.connections, "tests", {"linger.ms": 100})
        found: list[int] = []

        def delivered(_: KafkaError | None, message: Message) -> None:
            found.append(message_offset(message))

        for _ in range(count):
            client.produce(place[0], b"x", partition=place[1], on_delivery=delivered)
        assert client.flush(20) == 0
        return max(found)

    def commit(self, offsets: GroupOffsets, place: Partition, offset: int, points: int) -> None:
        """Publish points of a partition's records, and commit that all before the offset have theirs."""
        assert offsets.confirm({self.points: self.publish(self.points, points)} if points else {})
        offsets.commit({place: ResumePoint(offset, LogPosition(offset), False)})

    def lose(self, size: int) -> None:
        """Bytes of the points, by the broker."""
        self._machine.broker.kill()
        assert lose_tail(self._machine.broker, self.points[0], size) > 0
        self._machine.broker.start()


def test_lost_points_of_one_partition_are_not_forgotten_for_later_ones_of_another(machine: Machine) -> None:
    """The pod that notices them ends after it has published points of the other partition alone."""
    transforms = _Transforms(machine)
    with transforms.pod() as (offsets, _):
        transforms.commit(offsets, transforms.bars, 5, points=5)
        transforms.commit(offsets, transforms.trades, 5, points=5)
    transforms.lose(1_000_000)
    with transforms.pod() as (offsets, publish_from):
        assert publish_from == {transforms.bars: 0, transforms.trades: 0}
        transforms.commit(offsets, transforms.bars, 5, points=5)
    with transforms.pod() as (_, publish_from):
        assert publish_from == {transforms.bars: 5, transforms.trades: 0}


def test_points_before_lost_ones_are_looked_for_too(machine: Machine) -> None:
    """Records that have no points follow the loss, and then the broker loses the points before it."""
    transforms = _Transforms(machine)
    with transforms.pod() as (offsets, _):
        transforms.commit(offsets, transforms.bars, 3, points=3)
        transforms.commit(offsets, transforms.bars, 6, points=3)
    transforms.lose(1)  # makes the last batch invalid
    with transforms.pod() as (offsets, publish_from):
        assert publish_from[transforms.bars] == 3
        transforms.commit(offsets, transforms.bars, 9, points=0)
    transforms.lose(1_000_000)
    with transforms.pod() as (_, publish_from):
        assert publish_from[transforms.bars] == 0


def _published_points(transforms: TransformProcess, count: int) -> bool:
    return bool(transforms.results().get("mean", {}).get("points", 0) > count)


def _complete_in_the_next_pod(transforms: TransformProcess) -> bool:
    """Whether all points are published; a pod that has ended is started again, as by its operator."""
    if not transforms.running():
        transforms.start()
    return bool(transforms.last_status().get("state") == "complete")


def _means(dsn: str, exchange: str) -> dict[tuple[str, int], float]:
    """The mean of the last closes of each symbol, summed by hand."""
    closes: dict[str, list[tuple[int, float]]] = {}
    for ts, symbol, _, _, _, close, _ in stored(dsn, exchange):
        closes.setdefault(symbol, []).append((ts, close))
    return {
        (symbol, series[n][0]): math.fsum(close for _, close in series[n - OVER + 1 : n + 1]) / OVER
        for symbol, series in closes.items()
        for n in range(OVER - 1, len(series))
    }
