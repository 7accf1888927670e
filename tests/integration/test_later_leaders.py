"""A broker loses records that a client has read, and has others in their place before the client reads on.

The clients here know no epoch of their position, as after a seek without one: librdkafka then compares none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import pytest
import stamina
from confluent_kafka import Consumer, Message, TopicPartition

from pods.machine import Machine, lose_tail
from pods.recorder import ends
from tapedeck_common import topics
from tapedeck_common.kafka import admin, consumer, is_transient
from tapedeck_common.log_positions import LogPosition, Partition, leader_epochs, of_later_leaders, to_topic_partition
from tapedeck_common.topics import SINK_GROUP_PREFIX
from tapedeck_crds.sink import SinkOptions
from tapedeck_recorder.kafka.consumer import RecordConsumer
from tapedeck_recorder.sinks.sink_consumer import SinkConsumer
from tapedeck_transform.offsets import GroupOffsets
from waits import eventually

TRADES = [(topics.MARKET_TRADES, number) for number in range(topics.PERMANENT_PARTITIONS)]
pytestmark = pytest.mark.slow
patient = stamina.retry(on=is_transient, attempts=50)  # a broker that has started has no coordinators for a while


def trades_end(machine: Machine) -> dict[Partition, LogPosition]:
    """The end of each partition that has trades, without an epoch."""
    machine.publish(200)
    found = ends(machine.broker.bootstrap)
    return {place: LogPosition(found[place]) for place in TRADES if found.get(place, 0)}


def replace_trades(machine: Machine, client: Consumer, places: Iterable[Partition]) -> set[Partition]:
    """Lose the last trades and write others, while the client does not read. Returns where the log has grown."""
    paused = [TopicPartition(*place) for place in places]
    before = ends(machine.broker.bootstrap)
    client.pause(paused)
    machine.broker.kill()
    assert lose_tail(machine.broker, topics.MARKET_TRADES, 100) > 0
    machine.broker.start()
    machine.publish(300)
    client.resume(paused)
    grown = {place for place, end in ends(machine.broker.bootstrap).items() if end > before.get(place, end)}
    return grown.intersection(places)


def test_the_recorder_reads_no_further_before_it_has_compared_its_offsets(machine: Machine) -> None:
    known = trades_end(machine)
    reader = RecordConsumer(machine.connections, lambda places: {each: known[each] for each in places}, lambda: None)
    reader._on_assign(reader._consumer, [TopicPartition(*place) for place in known])
    try:
        assert reader.read(0.1) == []
        grown = replace_trades(machine, reader._consumer, known)
        assert grown
        read: set[tuple[str | None, int | None]] = set()

        def all_compared() -> bool:
            read.update((message.topic(), message.partition()) for message in reader.read(0.1))
            return grown <= reader.suspended

        eventually(all_compared)
        assert not read & grown
        reader.reset_positions()
        assert not reader.suspended
        assert eventually(lambda: reader.read(0.1))
    finally:
        reader.close()


def test_a_sink_starts_over_at_its_committed_offsets(machine: Machine) -> None:
    sink = SinkOptions.model_validate(
        {"name": f"s-{uuid.uuid4().hex[:8]}", "url": "http://127.0.0.1:1", "records": ["trades"]}
    )
    known = trades_end(machine)
    group = consumer(machine.connections, "tests", SINK_GROUP_PREFIX + sink.name)
    patient(group.commit)(offsets=[to_topic_partition(*each) for each in known.items()], asynchronous=False)
    group.close()
    reader = SinkConsumer(machine.connections, sink)
    try:
        reader._consumer.unsubscribe()  # an outage may make the group assign the partitions again
        reader._on_assign(reader._consumer, [TopicPartition(*place) for place in known])
        assert reader.read(0.1) == []
        grown = replace_trades(machine, reader._consumer, known)
        assert grown
        messages = eventually(lambda: reader.read(0.1))
        assert reader.has_later_leader(messages)
    finally:
        reader.close()


def test_transforms_commit_no_offsets_of_a_later_leader(machine: Machine) -> None:
    """Of records whose points are on a log with other leaders."""
    known = trades_end(machine)
    group = f"tapedeck-transform-{uuid.uuid4()}"
    reader = consumer(machine.connections, group, group)
    try:
        offsets = GroupOffsets(machine.connections, group, reader, (), lambda _: [])
        patient(offsets.resume_points)([topics.MARKET_TRADES], None)
        assert offsets.confirm({})
        reader.assign([to_topic_partition(*each) for each in known.items()])
        assert replace_trades(machine, reader, known)
        assert not offsets.confirm({})
    finally:
        reader.close()


def test_records_of_known_leaders_are_read_on(machine: Machine) -> None:
    """A log that was written to many leaders, the last of which is known."""
    known = trades_end(machine)
    machine.broker.kill()
    machine.broker.start()
    machine.publish(100)
    leaders = patient(leader_epochs)(admin(machine.connections, "tests"), known)
    reached = ends(machine.broker.bootstrap)
    reader = consumer(machine.connections, "tests", "tests", {"auto.offset.reset": "earliest"})
    try:
        reader.assign([TopicPartition(*place, 0) for place in known])
        records: list[Message] = []

        def all_read() -> bool:
            records.extend(each for each in reader.consume(10_000, 1.0) if each.error() is None)
            positions = reader.position([TopicPartition(*place) for place in known])
            return all(each.offset >= reached[each.topic, each.partition] for each in positions)

        eventually(all_read, progress=lambda: len(records))
        assert len({each.leader_epoch() for each in records}) > 1
        assert of_later_leaders(records, leaders) == set()
        former = {place: epoch - 1 for place, epoch in leaders.items() if epoch is not None}
        assert of_later_leaders(records, former) <= set(known)
        assert of_later_leaders(records, former)
        assert of_later_leaders(records, dict.fromkeys(known)) == set()
    finally:
        reader.close()
