"""Recovery: what the topic records about an earlier pod of this shard."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import msgspec
import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import admin, consumer, is_transient, kafka_error
from tapedeck_common.log_positions import LogPosition, Partition, hidden_from
from tapedeck_common.logs import log
from tapedeck_common.replay_transactions import SHARED_TIMEOUT_MS
from tapedeck_common.settings import Connections
from tapedeck_common.topics import replay_topic
from tapedeck_crds.errors import InvalidInput, Unavailable
from tapedeck_replay.errors import TransactionAborted, describe_kafka_error, lost_records
from tapedeck_replay.output.partition_output import PartitionOutput
from tapedeck_replay.output.position import ReplayPosition, from_metadata

READ_SECONDS = 15.0
FINISH_SECONDS = 5.0
SHARD_0_SECONDS = 300.0  # shard 0 may have to read a large file first
OPEN_SECONDS = 1.5 * SHARED_TIMEOUT_MS / 1000  # the broker ends a transaction on a mirror topic sooner
LOOK_BACK = 1_000
LOOK_AHEAD = 1_000  # others may have written before the start record


@dataclass(frozen=True)
class RecoveredState:
    """``position`` is None where nothing was committed yet; ``start`` also where retention deleted the record.

    ``trailing`` records of the replay follow the position on the log. ``copies`` are the committed positions on the
    partitions of the mirror topic.
    """

    position: ReplayPosition | None = None
    start: wire.ReplayStart | None = None
    trailing: int = 0
    copies: Mapping[int, LogPosition] = field(default_factory=dict)


@dataclass(frozen=True)
class LogEnd:
    """What a partition says: the position in its last watermark, the records that follow it, and its first offset.

    Records follow it only where the broker lost the rest of a transaction and committed it nevertheless.
    """

    position: ReplayPosition | None
    trailing: int
    low: int


def recover(connections: Connections, output: PartitionOutput) -> RecoveredState:
    """Read the committed position and the start record. Raises Unavailable.

    Call it after ``output.open()``: only then can no predecessor commit any more.
    """
    with _translated_errors(output.topic):
        return _recover(connections, output)


def require_on_log(connections: Connections, output: PartitionOutput, position: ReplayPosition) -> None:
    """Raises Unavailable where the log does not end with the position that was committed last.

    No transaction may be open. The broker may take a while to finish those that have ended; those whose end it lost on
    a mirror topic are aborted.
    """
    deadline = time.monotonic() + FINISH_SECONDS
    with _translated_errors(output.topic):
        while not agree(position, _read_end(connections, output)):
            if time.monotonic() > deadline:
                raise Unavailable(lost_records(output.topic, output.shard))
            time.sleep(0.2)
    release_mirrors(connections, output)


def release_mirrors(connections: Connections, output: PartitionOutput) -> None:
    """End transactions on the mirror topic whose end the broker has lost: its readers would wait for them for ever.

    No transaction may be open. Raises Unavailable.
    """
    with _translated_errors(output.topic):
        if hanging := _hanging(connections, output):
            log.error("the broker lost the end of a transaction", topic=output.shared_partitions[0].topic)
            output.abort_on([TopicPartition(*partition) for partition in hanging])


@stamina.retry(on=is_transient, attempts=6, timeout=60.0, wait_max=3.0)
def _hanging(connections: Connections, output: PartitionOutput) -> set[Partition]:
    """The mirror topic's partitions in which an open transaction is older than one can be."""
    if not output.shared_partitions:
        return set()
    client = admin(connections, f"{output.topic}.{output.shard}.mirrors")
    hidden = hidden_from(client, [(place.topic, place.partition) for place in output.shared_partitions])
    deadline = time.monotonic() + OPEN_SECONDS
    while hidden and time.monotonic() < deadline:
        time.sleep(0.2)
        now = hidden_from(client, hidden)
        hidden = {each: offset for each, offset in hidden.items() if now.get(each) == offset}
    return set(hidden)


@contextlib.contextmanager
def _translated_errors(topic: str) -> Iterator[None]:
    """Raise the client's errors as Unavailable."""
    try:
        yield
    except KafkaException as error:
        raise Unavailable(f"{topic}: {describe_kafka_error(kafka_error(error))}") from error
    except TransactionAborted as error:
        raise Unavailable(str(error)) from error


@stamina.retry(on=is_transient, attempts=6, timeout=60.0, wait_max=3.0)
def _recover(connections: Connections, output: PartitionOutput) -> RecoveredState:
    committed = output.group.committed([output.partition], timeout=READ_SECONDS)[0]
    if committed.error is not None:
        raise KafkaException(committed.error)
    with _reader(connections, output) as reader:
        low, high = reader.get_watermark_offsets(output.partition, timeout=READ_SECONDS)
        if low == high and committed.offset < 0:
            return RecoveredState()
        output.abort_unfinished()
        low, high = reader.get_watermark_offsets(output.partition, timeout=READ_SECONDS)
        if low == high:
            return RecoveredState()
        first = (control_record(message, output.uid) for message in islice(_messages(reader, output, low), LOOK_AHEAD))
        start = next((record for record in first if isinstance(record, wire.ReplayStart)), None)
        end = _log_end(reader, output, low, high)
    if committed.offset < 0 or not committed.metadata:
        return RecoveredState(end.position, start, end.trailing)
    position = from_metadata(committed.metadata)
    if agree(position, end):
        return RecoveredState(position, start, copies=position.copies)
    # They are committed together, so the broker has lost one of them. What is on the log is what consumers read.
    log.error(
        "the broker lost records or the position; continuing after the last record on the log",
        topic=output.topic,
        shard=output.shard,
        position=position.v,
        on_log=None if end.position is None else end.position.v,
    )
    return RecoveredState(end.position, start, end.trailing, position.copies)


@stamina.retry(on=is_transient, attempts=6, timeout=60.0, wait_max=3.0)
def _read_end(connections: Connections, output: PartitionOutput) -> LogEnd:
    with _reader(connections, output) as reader:
        low, high = reader.get_watermark_offsets(output.partition, timeout=READ_SECONDS)
        return _log_end(reader, output, low, high) if low < high else LogEnd(None, 0, low)


@contextlib.contextmanager
def _reader(connections: Connections, output: PartitionOutput) -> Iterator[Consumer]:
    client_id, group = f"{output.topic}.{output.shard}.recover", f"{output.topic}.recover"
    reader = consumer(connections, client_id, group, {"enable.partition.eof": True})
    try:
        yield reader
    finally:
        reader.close()


def agree(position: ReplayPosition, end: LogEnd) -> bool:
    """Whether the committed position is that of the last transaction on the log; its own first has no watermark."""
    if end.trailing:
        return False
    if (on_log := end.position) is None:
        return position.published == 0 or end.low > 0
    return (position.epoch, position.last, position.published, position.ended) == (
        on_log.epoch,
        on_log.last,
        on_log.published,
        on_log.ended,
    )


def wait_for_start(connections: Connections, uid: str, heartbeat: Callable[[], None]) -> wire.ReplayStart:
    """The ``start`` record of shard 0, once it is on its partition. Raises Unavailable.

    ``heartbeat`` is called at least once a second.
    """
    topic = replay_topic(uid)
    reader = consumer(connections, f"{topic}.start", f"{topic}.recover")
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + SHARD_0_SECONDS
        while time.monotonic() < deadline:
            heartbeat()
            message = reader.poll(1.0)
            if message is None or message.error() is not None:
                continue
            record = control_record(message, uid)
            if isinstance(record, wire.ReplayStart):
                return record
            if record is not None:
                raise Unavailable(f"{topic}: retention deleted the start record of shard 0; create a new Replay")
        raise Unavailable(f"{topic}: shard 0 has published no start record within {SHARD_0_SECONDS:g} s")
    except KafkaException as error:
        raise Unavailable(f"{topic}: cannot read the start record of shard 0: {error}") from error
    finally:
        reader.close()


def _log_end(reader: Consumer, output: PartitionOutput, low: int, high: int) -> LogEnd:
    """The end of a partition. Its position has everything but the anchor and the count of the pass."""
    look_back = LOOK_BACK
    while True:
        begin = max(low, high - look_back)
        found: ReplayPosition | None = None
        trailing = 0
        for message in _messages(reader, output, begin):
            origin = _own_origin(message, output.uid)
            if origin is not None and not origin.control:
                trailing += 1
            if (record := control_record(message, output.uid)) is None:
                continue
            trailing = 0
            match record:
                case wire.Watermark():
                    found = ReplayPosition(
                        v=record.v, epoch=record.epoch, last=record.position, published=record.published
                    )
                case wire.EpochStart() if found is not None:
                    found = ReplayPosition(v=record.v, epoch=record.epoch, published=found.published)
                case wire.ReplayEnd() if found is not None:
                    found = msgspec.structs.replace(found, ended=True)
        if found is not None or begin == low:
            return LogEnd(found, trailing, low)
        look_back *= 8


def _messages(reader: Consumer, output: PartitionOutput, offset: int) -> Iterator[Message]:
    """The committed records from an offset to the end of the partition."""
    reader.assign([TopicPartition(output.topic, output.shard, offset)])
    while True:
        message = reader.poll(READ_SECONDS)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record within {READ_SECONDS:g} s"))
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(error)
        yield message


def control_record(message: Message, uid: str) -> wire.ControlRecord | None:
    """The control record in a message; None for market data, and for what this Replay did not write."""
    origin = _own_origin(message, uid)
    if origin is None or not origin.control:
        return None
    try:
        record: wire.ControlRecord = wire.decode_control(message.value() or b"")
        if not isinstance(record, wire.ReplayStart) and record.epoch != origin.epoch:
            raise InvalidInput(f"epoch: got {record.epoch[:80]!r}, expected {origin.epoch!r} as in the header")
    except ValueError as error:
        place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
        log.warning("skipped an invalid record", **place, reason=str(error))
        return None
    return record


def _own_origin(message: Message, uid: str) -> wire.Origin | None:
    """The origin of a record that this Replay wrote; None for others."""
    try:
        origin = wire.origin_of(message.headers())
    except ValueError:
        return None
    return origin if origin.replay_uid == uid else None
