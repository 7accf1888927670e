"""A topic of the log as it is, without the decoding of ours."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

Row = tuple[int, int, bytes, bytes, Any]  # partition, offset, key, value, headers


@dataclass
class _Read:
    """What was read of a topic before: who waits for a record looks at it again and again."""

    upto: dict[int, int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


_READ: defaultdict[tuple[str, str], _Read] = defaultdict(_Read)


def read_topic(bootstrap: str, topic: str, exchange: str) -> list[tuple[str, dict[str, Any], str]]:
    """(key, value, header) of every record of an exchange that is there now, by partition and offset."""
    read = _READ[bootstrap, topic]
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "raw-reader", "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        marks = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10) for number in partitions
        }
        if any(read.upto.get(number, 0) > high for number, (_, high) in marks.items()):
            read = _READ[bootstrap, topic] = _Read()  # the topic was made anew
        starts = {number: max(low, read.upto.get(number, 0)) for number, (low, _) in marks.items()}
        ends = {number: high for number, (_, high) in marks.items()}
        left = sum(ends[number] - starts[number] for number in starts)
        consumer.assign([TopicPartition(topic, number, start) for number, start in starts.items()])
        new: list[Row] = []
        deadline = time.monotonic() + 60
        while left and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 0.2):
                row = _row(message)
                if row[1] < ends[row[0]]:  # else it came meanwhile
                    left -= 1
                    new.append(row)
        assert not left, f"{left} records of {topic} did not come in 60 s"
        read.rows = sorted(read.rows + new, key=itemgetter(0, 1))
        read.upto = ends
    finally:
        consumer.close()
    mine = f"{exchange}:".encode()
    return [
        (key.decode(), json.loads(v), _header(headers)) for *_, key, v, headers in read.rows if key.startswith(mine)
    ]


def _row(message: Message) -> Row:
    assert message.error() is None
    offset, partition = message.offset(), message.partition()
    assert offset is not None and partition is not None
    return partition, offset, message.key() or b"", message.value() or b"", message.headers()


def _header(headers: Any) -> str:
    assert isinstance(headers, list) and len(headers) == 1
    name, header = headers[0]
    assert isinstance(header, bytes)
    return f"{name}={header.decode()}"
