"""Recovery: what the topic records about an earlier pod of this shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import consumer, is_transient, kafka_error
from tapedeck_common.settings import Connections
from tapedeck_crds.errors import Unavailable
from tapedeck_replay.errors import describe_kafka_error
from tapedeck_replay.output.partition_output import PartitionOutput
from tapedeck_replay.output.position import ReplayPosition, from_metadata

READ_SECONDS = 15.0
SHARD_0_SECONDS = 300.0  # shard 0 may have to read a large file first
LOOK_BACK = 1_000


@dataclass(frozen=True)
class RecoveredState:
    """``position`` is None where nothing was committed yet; ``start`` also where retention deleted the record."""

    position: ReplayPosition | None = None
    start: wire.ReplayStart | None = None


def recover(connections: Connections, output: PartitionOutput) -> RecoveredState:
    """Read the committed position and the start record. Raises Unavailable.

    Call it after ``output.open()``: only then can no predecessor commit any more.
    """
    try:
        return _recover(connections, output)
    except KafkaException as error:
        raise Unavailable(f"{output.topic}: {describe_kafka_error(kafka_error(error))}") from error


@stamina.retry(on=is_transient, attempts=6, timeout=60.0, wait_max=3.0)
def _recover(connections: Connections, output: PartitionOutput) -> RecoveredState:
    partition = TopicPartition(output.topic, output.shard)
    committed = output.group.committed([partition], timeout=READ_SECONDS)[0]
    if committed.error is not None:
        raise KafkaException(committed.error)
    with_end = {"enable.partition.eof": True}
    reader = consumer(connections, f"{output.topic}.{output.shard}.recover", f"{output.topic}.recover", with_end)
    try:
        low, high = reader.get_watermark_offsets(partition, timeout=READ_SECONDS)
        if low == high:
            return RecoveredState()
        first = next(_records(reader, output, low), None)
        start = first if isinstance(first, wire.ReplayStart) else None
        if committed.offset >= 0 and committed.metadata:
            return RecoveredState(from_metadata(committed.metadata), start)
        return RecoveredState(_last_watermark(reader, output, low, high), start)
    finally:
        reader.close()


def wait_for_start(connections: Connections, topic: str, heartbeat: Callable[[], None]) -> wire.ReplayStart:
    """The ``start`` record of shard 0, once it is on its partition. Raises Unavailable.

    ``heartbeat`` is called at least once a second.
    """
    reader = consumer(connections, f"{topic}.start", f"{topic}.recover")
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + SHARD_0_SECONDS
        while time.monotonic() < deadline:
            heartbeat()
            message = reader.poll(1.0)
            if message is None or message.error() is not None:
                continue
            record = wire.decode_control(message.value() or b"")
            if isinstance(record, wire.ReplayStart):
                return record
            raise Unavailable(f"{topic}: retention deleted the start record of shard 0; create a new Replay")
        raise Unavailable(f"{topic}: shard 0 has published no start record within {SHARD_0_SECONDS:g} s")
    except (KafkaException, ValueError) as error:
        raise Unavailable(f"{topic}: cannot read the start record of shard 0: {error}") from error
    finally:
        reader.close()


def _last_watermark(reader: Consumer, output: PartitionOutput, low: int, high: int) -> ReplayPosition | None:
    """The position in the partition's last watermark: everything but the anchor and the count of the pass."""
    look_back = LOOK_BACK
    while True:
        begin = max(low, high - look_back)
        found: ReplayPosition | None = None
        for record in _records(reader, output, begin):
            match record:
                case wire.Watermark():
                    found = ReplayPosition(
                        v=record.v, epoch=record.epoch, last=record.position, published=record.published
                    )
                case wire.EpochStart():
                    found = None
                case wire.ReplayEnd() if found is not None:
                    found = ReplayPosition(
                        v=found.v, epoch=found.epoch, last=found.last, published=found.published, ended=True
                    )
        if found is not None or begin == low:
            return found
        look_back *= 8


def _records(reader: Consumer, output: PartitionOutput, offset: int) -> Iterator[wire.ControlRecord | None]:
    """The committed records from an offset to the end of the partition: control records, None for market data."""
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
        origin = wire.origin_of(message.headers())
        yield wire.decode_control(message.value() or b"") if origin.control else None
