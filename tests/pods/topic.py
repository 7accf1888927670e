"""A topic of the log as it is, without the decoding of ours."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from tapedeck_deck.embedded.deadline import Deadline

Row = tuple[int, int, bytes, bytes, Any]  # partition, offset, key, value, headers


@dataclass
class _Read:
    """What was read of a topic before: who waits for a record looks at it again and again."""

    upto: dict[int, int] = field(default_factory=dict)
    rows: defaultdict[bytes, list[Row]] = field(default_factory=lambda: defaultdict(list))  # by exchange


_READ: defaultdict[tuple[str, str], _Read] = defaultdict(_Read)


def read_topic(bootstrap: str, topic: str, exchange: str) -> list[tuple[str, dict[str, Any], str]]:
    """(key, value, header) of every record of an exchange that is there now, by partition and offset."""
    read = _READ[bootstrap, topic]
    config = {"group.id": "raw-reader", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({"bootstrap.servers": bootstrap, **config})
    try:
        partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
        marks = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=60) for number in partitions
        }
        if any(read.upto.get(number, 0) > high for number, (_, high) in marks.items()):
            read = _READ[bootstrap, topic] = _Read()  # the topic was made anew
        starts = {number: max(low, read.upto.get(number, 0)) for number, (low, _) in marks.items()}
        ends = {number: high for number, (_, high) in marks.items()}
        left = {number for number in starts if starts[number] < ends[number]}
        consumer.assign([TopicPartition(topic, number, starts[number]) for number in left])
        deadline = Deadline(60)
        while left and not deadline.passed():
            for message in consumer.consume(10_000, 0.2):
                number, offset = _place(message)
                if message.error() is not None or offset + 1 >= ends[number]:  # marks of transactions may come last
                    left.discard(number)
                if message.error() is None and offset < ends[number]:  # else it came meanwhile
                    key = message.key() or b""
                    row = (number, offset, key, message.value() or b"", message.headers())
                    read.rows[key.partition(b":")[0]].append(row)
                    read.upto[number] = offset + 1
        assert not left, f"partitions {left} of {topic} were not read to their ends in 60 s"
        read.upto = ends
    finally:
        consumer.close()
    mine = sorted(read.rows[exchange.encode()], key=itemgetter(0, 1))
    return [(key.decode(), msgspec.json.decode(value), _header(headers)) for *_, key, value, headers in mine]


def _place(message: Message) -> tuple[int, int]:
    error, offset, partition = message.error(), message.offset(), message.partition()
    assert error is None or error.code() == KafkaError._PARTITION_EOF
    assert offset is not None and partition is not None
    return partition, offset


def _header(headers: Any) -> str:
    assert isinstance(headers, list) and len(headers) == 1
    name, header = headers[0]
    assert isinstance(header, bytes)
    return f"{name}={header.decode()}"
