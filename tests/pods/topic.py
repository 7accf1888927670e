"""Reads a topic with a plain consumer, without the product's decoding."""

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
class _TopicCache:
    """The records that earlier calls read: tests that wait for a record read the topic repeatedly."""

    next_offsets: dict[int, int] = field(default_factory=dict)
    rows: defaultdict[bytes, list[Row]] = field(default_factory=lambda: defaultdict(list))  # by exchange


_CACHES: defaultdict[tuple[str, str], _TopicCache] = defaultdict(_TopicCache)


def forget_topic(bootstrap: str, topic: str) -> None:
    """Read a topic from its beginning at the next call: the broker has lost what earlier calls read."""
    _CACHES.pop((bootstrap, topic), None)


def read_topic(bootstrap: str, topic: str, exchange: str) -> list[tuple[str, dict[str, Any], str]]:
    """(key, value, header) of every record that an exchange has on the topic now, by partition and offset."""
    cache = _CACHES[bootstrap, topic]
    config = {"group.id": "raw-reader", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({"bootstrap.servers": bootstrap, **config})
    try:
        partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
        watermarks = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=60) for number in partitions
        }
        if any(cache.next_offsets.get(number, 0) > high for number, (_, high) in watermarks.items()):
            cache = _CACHES[bootstrap, topic] = _TopicCache()  # the topic was created again
        starts = {number: max(low, cache.next_offsets.get(number, 0)) for number, (low, _) in watermarks.items()}
        ends = {number: high for number, (_, high) in watermarks.items()}
        left = {number for number in starts if starts[number] < ends[number]}
        following = dict(starts)
        consumer.assign([TopicPartition(topic, number, starts[number]) for number in left])
        deadline = Deadline(60)
        while left and not deadline.passed():
            for message in consumer.consume(10_000, 0.2):
                number, offset = _place(message)
                if message.error() is not None or offset + 1 >= ends[number]:  # a commit marker may be last
                    left.discard(number)
                if message.error() is not None:  # what an open transaction has there is read when it is committed
                    following[number] = min(offset, ends[number])
                elif offset < ends[number]:  # later records arrived meanwhile
                    key = message.key() or b""
                    row = (number, offset, key, message.value() or b"", message.headers())
                    cache.rows[key.partition(b":")[0]].append(row)
                    following[number] = cache.next_offsets[number] = offset + 1
        assert not left, f"partitions {left} of {topic} were not read to their ends in 60 s"
        cache.next_offsets = following
    finally:
        consumer.close()
    mine = sorted(cache.rows[exchange.encode()], key=itemgetter(0, 1))
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
