"""Positions on the log, and where it continues after one: a broker may lose its end and write others in its place.

A stored offset alone does not show that. The leader epoch of the record before it does: a broker that becomes a
partition's leader, also by a restart, begins a new epoch at the end of its log (KIP-320). A client that reads compares
epochs at a restart, but not where it has no epoch of its position, nor before a read that is already on its way.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import stamina
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common.kafka import REQUEST_SECONDS, BrokerAdmin, await_result, consumer, is_transient, kafka_error
from tapedeck_common.settings import Connections

NO_OFFSET = -1
"""The offset of a partition that was never read."""
ANSWER_SECONDS = 10.0
_PROBE = {
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,  # the answer where nothing follows
    "isolation.level": "read_uncommitted",  # an open transaction would hide what follows
    "fetch.message.max.bytes": 1_024,
}
# What an admin client answers of leaders that it knows from before. librdkafka keeps these for up to 15 minutes.
_FORMER_LEADERS = {
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError._NOENT,  # no leader is known
}

Partition: TypeAlias = tuple[str, int]
"""Topic and partition number."""


class LogPosition(NamedTuple):
    """The next offset of a partition, and the leader epoch of the record before it, None where it is not known.

    By the epoch it is noticed that a broker lost that record, even where others were written in its place.
    """

    offset: int = NO_OFFSET
    leader_epoch: int | None = None


def message_partition(message: Message) -> Partition:
    """The partition of a record, or of an error that a client reports in the place of records."""
    topic, partition = message.topic(), message.partition()
    if topic is None or partition is None:
        raise TypeError("message: got one without topic or partition, expected a consumed message")
    return topic, partition


def partition_runs(records: Sequence[Message]) -> Iterator[tuple[Partition, Sequence[Message]]]:
    """Neighbours of one partition, in order: a client reads a partition's records in one piece.

    A recorder reads 200,000 records a second, so no function of Python's own is called for each.
    """
    start = 0
    partitions = zip(map(Message.topic, records), map(Message.partition, records), strict=True)
    for _, same in itertools.groupby(partitions):
        end = start + len(list(same))
        yield message_partition(records[start]), records[start:end]
        start = end


def message_offset(message: Message) -> int:
    """The offset of a record."""
    if (offset := message.offset()) is None:
        raise TypeError("message: got one without offset, expected a record")
    return offset


def position_after(message: Message) -> LogPosition:
    """The position that follows a record."""
    return LogPosition(message_offset(message) + 1, message.leader_epoch())


def to_topic_partition(partition: Partition, position: LogPosition, metadata: str = "") -> TopicPartition:
    """Where to start, or what to commit; the log's beginning where nothing was read."""
    offset = OFFSET_BEGINNING if position.offset == NO_OFFSET else position.offset
    epoch = -1 if position.leader_epoch is None else position.leader_epoch
    return TopicPartition(*partition, offset, metadata, epoch)


def from_topic_partition(place: TopicPartition) -> LogPosition:
    """Where a client is, or what it has committed."""
    return LogPosition(place.offset, place.leader_epoch) if place.offset >= 0 else LogPosition()


@stamina.retry(on=is_transient, attempts=5, timeout=ANSWER_SECONDS, wait_max=1.0)  # a new topic has no leader yet
def offsets_since(reader: Consumer, partitions: Iterable[Partition], since_ms: int) -> dict[Partition, int]:
    """The offset of the first record of each partition that was written at this time or later, ms UTC, else its end.

    It is a number, so that what is written from now on follows it: a client that is told to begin at the end finds out
    where that is some time later. Raises KafkaException.
    """
    # The ends first: a record that is written between the two requests is then behind the end that was seen.
    ends = {each: reader.get_watermark_offsets(TopicPartition(*each), timeout=ANSWER_SECONDS)[1] for each in partitions}
    times = [TopicPartition(*each, since_ms) for each in ends]
    found: dict[Partition, int] = {}
    for place in reader.offsets_for_times(times, timeout=ANSWER_SECONDS) if times else ():
        if place.error is not None:
            raise KafkaException(place.error)
        partition = (place.topic, place.partition)
        found[partition] = place.offset if place.offset >= 0 else ends[partition]
    return found


def list_offsets(
    client: BrokerAdmin,
    partitions: Collection[Partition],
    spec: OffsetSpec,
    request_seconds: float = REQUEST_SECONDS,
    readers: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
) -> dict[Partition, ListOffsetsResultInfo]:
    """The offset of each partition that ``spec`` asks for, also where the broker has been restarted meanwhile.

    For ``readers`` of committed records the end is before the first transaction that has none.

    Raises KafkaException.
    """
    try:
        return _list_offsets(client, partitions, spec, request_seconds, readers)
    except KafkaException as error:
        if kafka_error(error).code() not in _FORMER_LEADERS:
            raise
    client.list_topics(timeout=request_seconds)  # the client learns of the present leaders
    return _list_offsets(client, partitions, spec, request_seconds, readers)


def leader_epochs(
    client: BrokerAdmin, partitions: Collection[Partition], request_seconds: float = REQUEST_SECONDS
) -> dict[Partition, int | None]:
    """The epoch of the present leader of each partition, None of a broker that tells none. Raises KafkaException."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    ends = list_offsets(client, partitions, latest, request_seconds)
    return {partition: end.leader_epoch for partition, end in ends.items()}


def of_later_leaders(records: Sequence[Message], epochs: Mapping[Partition, int | None]) -> set[Partition]:
    """The partitions of which a record was written to a later leader than that of the epoch.

    The leader may have lost records that were read, and this one may be in their place.
    """
    newest = max((epoch for epoch in set(map(Message.leader_epoch, records)) if epoch is not None), default=None)
    if newest is None or newest <= min((epoch for epoch in epochs.values() if epoch is not None), default=newest):
        return set()
    return {
        partition
        for partition, same in partition_runs(records)
        if (known := epochs.get(partition)) is not None and (same[-1].leader_epoch() or 0) > known
    }


def hidden_from(client: BrokerAdmin, partitions: Collection[Partition]) -> dict[Partition, int]:
    """Where readers of committed records wait for the end of a transaction, of partitions with such a place.

    Raises KafkaException.
    """
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    reached = list_offsets(client, partitions, latest, readers=IsolationLevel.READ_COMMITTED)
    ends = list_offsets(client, partitions, latest)
    return {each: at.offset for each, at in reached.items() if at.offset < ends[each].offset}


def _list_offsets(
    client: BrokerAdmin,
    partitions: Collection[Partition],
    spec: OffsetSpec,
    request_seconds: float,
    readers: IsolationLevel,
) -> dict[Partition, ListOffsetsResultInfo]:
    if not partitions:
        return {}
    request = {TopicPartition(*partition): spec for partition in partitions}
    futures = client.list_offsets(request, request_timeout=request_seconds, isolation_level=readers)
    found = {(p.topic, p.partition): await_result(client, future, request_seconds) for p, future in futures.items()}
    # librdkafka gives an offset that is none, and no error, where the broker did not answer in time.
    if silent := [partition for partition, result in found.items() if result.offset == OFFSET_INVALID]:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"the broker told no offset of {silent[0]}"))
    return found


def _is_not_started(error: Exception) -> bool:
    """Whether a client has not yet begun to read a partition that it is assigned to."""
    return isinstance(error, KafkaException) and kafka_error(error).code() == KafkaError._STATE


def continuations(
    connections: Connections, client_id: str, group: str, positions: Mapping[Partition, LogPosition]
) -> dict[Partition, int]:
    """The offset at which the log of each partition continues after a position. Raises KafkaException.

    It is below the position where the broker has lost records before it, and above where retention has deleted those
    after it. Without a leader epoch, a shorter log continues at its start, and one that has grown again looks whole.
    Partitions that were never read are left out. Of one that the broker does not have there is no answer in time.
    """
    asked = {partition: position for partition, position in positions.items() if position.offset != NO_OFFSET}
    if not asked:
        return {}
    places = [to_topic_partition(partition, position) for partition, position in asked.items()]
    probe = consumer(connections, client_id, group, _PROBE)
    try:
        probe.assign(places)
        for place in places:
            _seek(probe, place)
        return _answers(probe, set(asked))
    finally:
        probe.close()


@stamina.retry(on=_is_not_started, attempts=None, timeout=ANSWER_SECONDS, wait_initial=0.01, wait_max=0.1)
def _seek(probe: Consumer, place: TopicPartition) -> None:
    """Let the client compare epochs with the leader before it reads.

    librdkafka does so after each seek. After an assign it does where it learns of the leader; it may have read by then.
    """
    probe.seek(place)


def _answers(probe: Consumer, waiting: set[Partition]) -> dict[Partition, int]:
    found: dict[Partition, int] = {}
    deadline = time.monotonic() + ANSWER_SECONDS
    while waiting:
        message = probe.poll(0.1)
        if message is not None and (partition := _answered(message)) in waiting:
            waiting.remove(partition)
            if (offset := message.offset()) is not None:
                found[partition] = offset
        elif time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the broker did not answer for all partitions"))
    return found


def _answered(message: Message) -> Partition | None:
    """The partition about which a message says how it continues, or that it does not exist."""
    topic, partition, error = message.topic(), message.partition(), message.error()
    if topic is None or partition is None or (error is not None and is_transient(KafkaException(error))):
        return None
    return topic, partition
