"""Where a reader begins that wants the records since a time, and where the log ends, with a real broker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import stamina
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from pods.machine import Machine, frozen, lose_tail
from tapedeck_common import log_positions
from tapedeck_common.kafka import admin, consumer, is_transient, producer
from tapedeck_common.log_positions import LogPosition, continuations, list_offsets, offsets_since, position_after
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from waits import eventually


class Topic:
    """A topic of three partitions."""

    def __init__(self, connections: Connections, name: str = "") -> None:
        self.name = name or f"tests.positions.{uuid.uuid4().hex[:8]}"
        ensure_topics(admin(connections, "tests"), [self.name], 3)
        self._producer = producer(connections, "tests")

    def write(self, partition: int, ts: int) -> None:
        self._producer.produce(self.name, b"x", partition=partition, timestamp=ts)
        assert self._producer.flush(60) == 0


@pytest.fixture
def topic(connections: Connections) -> Topic:
    return Topic(connections)


@pytest.fixture
def reader(connections: Connections) -> Iterator[Consumer]:
    client = consumer(connections, "tests", "tests")
    yield client
    client.close()


def test_the_first_record_of_the_time_or_the_end(topic: Topic, reader: Consumer) -> None:
    now = int(time.time() * 1000)
    for ts in (now - 9_000, now - 5_000, now - 1_000):
        topic.write(0, ts)
    topic.write(1, now - 9_000)
    places = [(topic.name, number) for number in range(3)]
    assert offsets_since(reader, places, now - 5_000) == dict(zip(places, (1, 1, 0), strict=True))
    assert offsets_since(reader, [], now) == {}


def test_a_client_finds_the_ends_after_its_broker_was_restarted(tmp_path: Path) -> None:
    """librdkafka keeps the leaders that it knows: with their epochs, the broker refuses each request."""
    broker = KafkaBroker(tmp_path / "kafka", free_port())
    try:
        broker.launch()
        broker.wait_ready()
        connections = Connections(kafka_bootstrap=broker.bootstrap)
        topic, client = Topic(connections), admin(connections, "tests")
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]

        def ends() -> list[int] | None:
            try:
                found = list_offsets(client, [(topic.name, number) for number in range(3)], latest)
            except KafkaException:
                return None
            return [found[topic.name, number].offset for number in range(3)]

        topic.write(1, 1_522_800_000_000)
        assert eventually(ends) == [0, 1, 0]
        for _ in range(2):
            broker.kill()
            broker.start()
            assert eventually(ends) == [0, 1, 0]
    finally:
        broker.stop()


def test_a_broker_that_stands_still_tells_no_ends(machine: Machine) -> None:
    """librdkafka gives numbers that are none, which no caller is to take for offsets."""
    topic, client = Topic(machine.connections), admin(machine.connections, "tests")
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    ends = stamina.retry(on=is_transient, attempts=20)(partial(list_offsets, client, [(topic.name, 0)], latest))
    topic.write(0, 1_522_800_000_000)
    assert ends()[topic.name, 0].offset == 1
    assert machine.broker.process is not None
    with frozen(machine.broker.process.pid), pytest.raises(KafkaException) as raised:
        list_offsets(client, [(topic.name, 0)], latest)
    assert is_transient(raised.value)


def test_a_loss_is_found_by_a_client_that_knows_the_leaders_already(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that learns of a leader may read before it has compared epochs; others have filled the gap meanwhile."""

    def informed(*arguments: Any) -> Consumer:
        client = consumer(*arguments)
        client.list_topics(topic.name, timeout=60)
        return client

    topic = Topic(machine.connections)
    for _ in range(10):
        topic.write(0, 1_522_800_000_000)
    before = position(machine.connections, topic.name, 9)
    assert before.offset == 10
    monkeypatch.setattr(log_positions, "consumer", informed)
    asked = {(topic.name, 0): before, (topic.name, 1): LogPosition(0, 0), (topic.name, 2): LogPosition()}
    find = stamina.retry(on=is_transient, attempts=20)(partial(continuations, machine.connections, "tests", "tests"))
    assert find(asked) == {(topic.name, 0): 10, (topic.name, 1): 0}

    machine.broker.kill()
    assert lose_tail(machine.broker, topic.name, 200) > 0
    machine.broker.start()
    topic = Topic(machine.connections, topic.name)  # another producer: the broker has lost what the first one wrote
    for _ in range(15):
        topic.write(0, 1_522_800_000_001)
    kept = find(asked)[topic.name, 0]
    assert 0 < kept < 10
    assert position(machine.connections, topic.name, kept - 1).leader_epoch == before.leader_epoch
    assert position(machine.connections, topic.name, kept).leader_epoch != before.leader_epoch


def position(connections: Connections, topic: str, offset: int) -> LogPosition:
    """The position after the record of partition 0 at an offset."""
    client = consumer(connections, "tests", "tests")
    try:
        client.assign([TopicPartition(topic, 0, offset)])
        message = eventually(partial(client.poll, 1.0))
        assert message.error() is None
        return position_after(message)
    finally:
        client.close()


class SlowReader:
    """A client between whose requests a record is written."""

    def __init__(self, reader: Consumer, topic: Topic) -> None:
        self._reader, self._topic = reader, topic
        self.written = 0

    def _write(self) -> None:
        self._topic.write(0, int(time.time() * 1000))
        self.written += 1

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        found: tuple[int, int] = self._reader.get_watermark_offsets(place, timeout=timeout)
        self._write()
        return found

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        found: list[TopicPartition] = self._reader.offsets_for_times(places, timeout=timeout)
        self._write()
        return found


def test_a_record_that_is_written_between_the_requests_is_not_passed_over(topic: Topic, reader: Consumer) -> None:
    """As ``since`` a time at which nothing is written yet: the records that come meanwhile follow the offset."""
    slow = SlowReader(reader, topic)
    since = int(time.time() * 1000) + 3_000_000
    offset = offsets_since(slow, [(topic.name, 0)], since)[topic.name, 0]  # type: ignore[arg-type]
    assert slow.written == 2
    assert offset == 0
