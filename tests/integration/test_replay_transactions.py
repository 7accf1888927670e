"""Transactions of Replays on the market's topics: those that hang, those that a broker refuses or does not answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import stamina
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from pods.machine import Machine, frozen
from pods.topic import read_topic
from tapedeck_common import topics
from tapedeck_common.kafka import admin, is_transient, transactional_producer
from tapedeck_common.log_positions import LogPosition, hidden_from
from tapedeck_common.market import Bar, series_key
from tapedeck_common.replay_transactions import abort_left_open, transactional_ids
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.wire import Epoch, Headers, encode, market_headers, replay_headers
from tapedeck_crds.errors import Fenced, Unavailable
from tapedeck_recorder.kafka import hanging_transactions
from tapedeck_recorder.kafka.hanging_transactions import HangingTransactions
from tapedeck_replay.copy_losses import report_lost_copies
from tapedeck_replay.errors import TransactionAborted
from tapedeck_replay.output.mirroring import MirrorTopic
from tapedeck_replay.output.partition_output import PartitionOutput
from tapedeck_replay.output.position import ReplayPosition
from tapedeck_replay.output.writer import TransactionalWriter
from waits import eventually

SECONDS = 20.0
MARKER_BYTES = 100  # the end of a transaction has fewer, a record with its headers more
BAR = Bar("x", "A/B", "1m", 1_522_800_000_000, 2.0, 3.0, 1.0, 2.0, 5.0)
KEY, VALUE = series_key("x", "A/B").encode(), encode(BAR)
PLACE = (topics.MARKET_BARS, 3)
MARKET = [(topics.MARKET_BARS, number) for number in range(topics.PERMANENT_PARTITIONS)]
pytestmark = [pytest.mark.slow, pytest.mark.faults]


class Replay:
    """A Replay with a topic of four shards, of whose pods the tests have the producers alone."""

    def __init__(self, connections: Connections) -> None:
        self.uid = str(uuid.uuid4())
        self.topic = topics.replay_topic(self.uid)
        self.headers = replay_headers(self.uid, Epoch())
        self._connections = connections
        ensure_topics(admin(connections, "tests"), [self.topic], 4)

    def producer(self, shard: int) -> Producer:
        """The first producer of a pod that starts now."""
        return started(self._connections, transactional_ids(self.topic, shard)[0])


def started(connections: Connections, transactional_id: str) -> Producer:
    client = transactional_producer(connections, transactional_id)
    client.init_transactions(SECONDS)
    return client


def begin(client: Producer, headers: Headers) -> None:
    """Begin a transaction, with a record at the place that the tests look at."""
    client.begin_transaction()
    client.produce(PLACE[0], VALUE, KEY, PLACE[1], headers=headers)
    assert client.flush(SECONDS) == 0


def require_unfenced(client: Producer, replay: Replay) -> None:
    client.begin_transaction()
    client.produce(replay.topic, b"", partition=0)
    client.commit_transaction(SECONDS)


class Told:
    """What the recorder's module logs."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, dict[str, Any]]] = []

    def error(self, event: str, **values: Any) -> None:
        self.errors.append((event, values))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(hanging_transactions, "log", told := Told())
    return told


@pytest.fixture
def hanging(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> HangingTransactions:
    """What is hidden at two looks is hanging."""
    monkeypatch.setattr(hanging_transactions, "HANGING_SECONDS", 0.0)
    assert hidden(machine) is None
    return HangingTransactions(machine.connections)


@stamina.retry(on=is_transient, attempts=10, timeout=SECONDS)  # a broker that just started has no leaders
def hidden(machine: Machine) -> int | None:
    return hidden_from(admin(machine.connections, "tests"), [PLACE]).get(PLACE)


def hidden_soon(machine: Machine, offset: int | None) -> None:
    eventually(lambda: hidden(machine) == offset)


def test_a_transaction_of_another_replay_ends_no_healthy_shard(
    machine: Machine, hanging: HangingTransactions, told: Told
) -> None:
    """Behind the one that hangs another is open: readers wait there, which is no reason to fence further shards."""
    replay, other = Replay(machine.connections), Replay(machine.connections)
    healthy, culprit = replay.producer(2), replay.producer(1)
    begin(culprit, replay.headers)
    first = hidden(machine)
    assert first is not None
    begin(behind := other.producer(0), other.headers)
    hanging.look()
    assert hidden(machine) == first
    hanging.look()
    hidden_soon(machine, first + 1)
    for client, headers in ((behind, other.headers), (healthy, replay.headers)):
        if client is healthy:
            begin(client, headers)
        client.commit_transaction(SECONDS)
    hidden_soon(machine, None)
    assert [event for event, _ in told.errors] == ["the broker lost the end of a transaction"]


def test_what_cannot_be_ended_is_tried_once_and_told_once(
    machine: Machine, hanging: HangingTransactions, told: Told
) -> None:
    """It has the header of a Replay, and an id that is none of the Replay's: the Replay's pods are not to suffer."""
    replay = Replay(machine.connections)
    begin(foreign := started(machine.connections, f"{replay.topic}.elsewhere"), replay.headers)
    offset = hidden(machine)
    for _ in range(2):
        hanging.look()
    restarted = [replay.producer(shard) for shard in range(4)]
    for _ in range(2):
        hanging.look()
    for client in restarted:
        require_unfenced(client, replay)
    place = {"topic": PLACE[0], "partition": PLACE[1], "offset": offset}
    reason = "it is none of the Replay's transactional ids"
    assert told.errors[1:] == [
        (hanging_transactions.NO_END, {**place, "kind": "Replay", "uid": replay.uid, "reason": reason})
    ]
    foreign.abort_transaction(SECONDS)
    hidden_soon(machine, None)


def test_a_transaction_of_another_program_is_told_once(
    machine: Machine, hanging: HangingTransactions, told: Told
) -> None:
    begin(foreign := started(machine.connections, "someone-elses"), market_headers("live"))
    offset = hidden(machine)
    for _ in range(4):
        hanging.look()
    place = {"topic": PLACE[0], "partition": PLACE[1], "offset": offset}
    reason = "another program began it"
    assert told.errors == [(hanging_transactions.NO_END, {**place, "reason": reason})]
    foreign.commit_transaction(SECONDS)
    hidden_soon(machine, None)


def test_the_time_of_a_broker_that_is_down_does_not_count(machine: Machine, hanging: HangingTransactions) -> None:
    replay = Replay(machine.connections)
    begin(client := replay.producer(0), replay.headers)
    hanging.look()
    machine.broker.kill()
    with pytest.raises(KafkaException):
        hanging.look()
    machine.broker.start()

    def looked() -> bool:
        with suppress(KafkaException):
            hanging.look()
            return True
        return False

    eventually(looked)
    client.commit_transaction(SECONDS)
    hidden_soon(machine, None)


def test_a_fatal_error_of_the_client_is_one_of_the_broker(machine: Machine) -> None:
    """Another recorder does the same, and fences this one between two requests."""
    replay = Replay(machine.connections)
    (transactional_id, _) = transactional_ids(replay.topic, 0)

    def places() -> Iterator[tuple[str, int]]:
        yield PLACE
        started(machine.connections, transactional_id)
        yield PLACE

    with pytest.raises(KafkaException):
        abort_left_open(machine.connections, transactional_id, replay.uid, places())


@contextmanager
def opened(connections: Connections, replay: Replay) -> Iterator[PartitionOutput]:
    """The output of a shard that copies to the market."""
    shared = [TopicPartition(*each) for each in MARKET]
    output = PartitionOutput(connections, replay.topic, 0, replay.uid, lambda: None, lambda: None, shared)
    output.mirrors = [MirrorTopic(topics.MARKET_BARS, None, "x", "x")]
    output.open()
    try:
        yield output
    finally:
        output.close()


def set_largest_record(connections: Connections, topic: str, size: int) -> None:
    """Let a topic refuse records of more bytes."""
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin(connections, "tests").incremental_alter_configs([resource])[resource].result(SECONDS)


@pytest.fixture
def refusing(machine: Machine) -> str:
    """A topic that takes no record of a Replay: each is too large."""
    topic = f"tests.refusing.{uuid.uuid4().hex[:8]}"
    ensure_topics(admin(machine.connections, "tests"), [topic], 1, config={"max.message.bytes": str(MARKER_BYTES)})
    return topic


def test_a_refused_record_ends_no_transaction(machine: Machine, refusing: str) -> None:
    replay = Replay(machine.connections)
    (transactional_id, _) = transactional_ids(replay.topic, 0)
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        abort_left_open(machine.connections, transactional_id, replay.uid, [(refusing, 0)])
    with opened(machine.connections, replay) as output, pytest.raises(TransactionAborted, match="too large"):
        output.abort_on([TopicPartition(refusing, 0)])


def test_a_broker_that_refuses_to_end_a_transaction_is_asked_once(
    machine: Machine, hanging: HangingTransactions, told: Told
) -> None:
    """As one whose access control list lacks the recorder: the Replay's pods are not to end every half a minute."""
    replay = Replay(machine.connections)
    begin(replay.producer(1), replay.headers)
    offset = hidden(machine)

    def told_again() -> bool:
        hanging.look()
        return len(told.errors) > 1

    set_largest_record(machine.connections, PLACE[0], MARKER_BYTES)
    try:
        eventually(told_again)
        restarted = replay.producer(0)
        for _ in range(2):
            hanging.look()
    finally:
        set_largest_record(machine.connections, PLACE[0], 1_000_000)
    require_unfenced(restarted, replay)
    (_, (event, values)) = told.errors
    assert (event, values["offset"], values["uid"]) == (hanging_transactions.NO_END, offset, replay.uid)
    assert "MSG_SIZE_TOO_LARGE" in values["reason"]
    replay.producer(1)  # ends it
    hidden_soon(machine, None)


def test_a_refused_report_of_lost_copies_is_not_taken_for_delivered(machine: Machine) -> None:
    replay = Replay(machine.connections)
    copies = {PLACE[1]: LogPosition(1_000_000, 0)}  # further than the partition reaches
    set_largest_record(machine.connections, topics.MARKET_INGEST, 1)
    try:
        with opened(machine.connections, replay) as output, pytest.raises(Unavailable, match="too large"):
            report_lost_copies(machine.connections, output, "test", copies)
    finally:
        set_largest_record(machine.connections, topics.MARKET_INGEST, 1_000_000)
    with opened(machine.connections, replay) as output:
        report_lost_copies(machine.connections, output, "test", copies)
    (report,) = read_topic(machine.broker.bootstrap, topics.MARKET_INGEST, "x")
    assert report[1]["place"] == "market.bars partition 3"


def test_a_transaction_on_the_market_does_not_wait_for_an_answer_about_its_copies(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker stands still once it has them. Other readers of the market wait, so they are published again."""
    replay, stopped, flush = Replay(machine.connections), ExitStack(), TransactionalWriter.flush
    assert machine.broker.process is not None
    broker = machine.broker.process.pid

    def flush_and_freeze(writer: TransactionalWriter) -> bool:
        reached = flush(writer)
        stopped.enter_context(frozen(broker))
        return reached

    monkeypatch.setattr(TransactionalWriter, "flush", flush_and_freeze)
    with opened(machine.connections, replay) as output:
        assert output.lost_copies() == {}
        with stopped:
            output.begin()
            output.produce([KEY], [VALUE])
            output.commit(ReplayPosition(v=0))
            with pytest.raises(TransactionAborted, match="the broker does not answer"):
                output.wait_committed()
        with suppress(Fenced):  # the broker has ended it
            output.abort()
    eventually(lambda: not hidden_from(admin(machine.connections, "tests"), MARKET))
