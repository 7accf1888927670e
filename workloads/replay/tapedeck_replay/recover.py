"""What the log says of an earlier life of this shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import consumer, error_of, passing
from tapedeck_common.settings import Connections
from tapedeck_crds.errors import Unavailable
from tapedeck_replay.output import Output
from tapedeck_replay.position import Position, from_metadata
from tapedeck_replay.writer import explain

READ_SECONDS = 15.0
FIRST_SECONDS = 300.0  # shard 0 may have a large file to read through first
LOOK_BACK = 1_000


@dataclass(frozen=True)
class Past:
    """``position`` is None where nothing was committed yet; ``start`` also where retention removed it."""

    position: Position | None = None
    start: wire.Start | None = None


def recover(connections: Connections, output: Output) -> Past:
    """Read it, after ``output.open()``: only then nobody else writes. Raises Unavailable."""
    try:
        return _recover(connections, output)
    except KafkaException as error:
        raise Unavailable(f"{output.topic}: {explain(error_of(error))}") from error


@stamina.retry(on=passing, attempts=6, timeout=60.0, wait_max=3.0)
def _recover(connections: Connections, output: Output) -> Past:
    partition = TopicPartition(output.topic, output.shard)
    committed = output.group.committed([partition], timeout=READ_SECONDS)[0]
    if committed.error is not None:
        raise KafkaException(committed.error)
    with_end = {"enable.partition.eof": True}
    reader = consumer(connections, f"{output.topic}.{output.shard}.recover", f"{output.topic}.recover", with_end)
    try:
        low, high = reader.get_watermark_offsets(partition, timeout=READ_SECONDS)
        if low == high:
            return Past()
        first = next(_records(reader, output, low), None)
        start = first if isinstance(first, wire.Start) else None
        if committed.offset >= 0 and committed.metadata:
            return Past(from_metadata(committed.metadata), start)
        return Past(_last_watermark(reader, output, low, high), start)
    finally:
        reader.close()


def start_of_first(connections: Connections, topic: str, pulse: Callable[[], None]) -> wire.Start:
    """What shard 0 resolved the spec to, once that is on its partition. Raises Unavailable.

    ``pulse`` is called at least each second.
    """
    reader = consumer(connections, f"{topic}.start", f"{topic}.recover")
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + FIRST_SECONDS
        while time.monotonic() < deadline:
            pulse()
            message = reader.poll(1.0)
            if message is None or message.error() is not None:
                continue
            record = wire.decode_control(message.value() or b"")
            if isinstance(record, wire.Start):
                return record
            raise Unavailable(f"{topic}: shard 0 has no start record any more (retention)")
        raise Unavailable(f"{topic}: shard 0 has not said within {FIRST_SECONDS:g} s what is played")
    except (KafkaException, ValueError) as error:
        raise Unavailable(f"{topic}: cannot read what shard 0 plays: {error}") from error
    finally:
        reader.close()


def _last_watermark(reader: Consumer, output: Output, low: int, high: int) -> Position | None:
    """The position as the partition's own last watermark has it: all but the anchor."""
    look_back = LOOK_BACK
    while True:
        begin = max(low, high - look_back)
        found: Position | None = None
        for record in _records(reader, output, begin):
            match record:
                case wire.Watermark():
                    found = Position(v=record.v, epoch=record.epoch, last=record.position, published=record.published)
                case wire.EpochStart():
                    found = None
                case wire.End() if found is not None:
                    found = Position(
                        v=found.v, epoch=found.epoch, last=found.last, published=found.published, ended=True
                    )
        if found is not None or begin == low:
            return found
        look_back *= 8


def _records(reader: Consumer, output: Output, offset: int) -> Iterator[wire.ControlRecord | None]:
    """The committed records from an offset to the end: control records, None for a bar."""
    reader.assign([TopicPartition(output.topic, output.shard, offset)])
    while True:
        message = reader.poll(READ_SECONDS)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record within {READ_SECONDS:g} s"))
        fault = message.error()
        if fault is not None:
            if fault.code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(fault)
        origin = wire.origin_of(message.headers())
        yield wire.decode_control(message.value() or b"") if origin.control else None
