"""Where a predecessor of this pod ended: the newest trades and bars of each symbol on the log."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common import topics
from tapedeck_common.kafka import consumer
from tapedeck_common.market import Bar, Trade, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.wire import decode_bar, decode_trade, origin_of

FIRST_READ = 5_000  # records of a partition; then four times as many, until they suffice
READ_MAX = 2_000_000
TIMEOUT = 60.0  # seconds for one read of a partition
BARS_KEPT = 200
Record = TypeVar("Record", Trade, Bar)


@dataclass
class PublishedRecords:
    """The newest published records of one symbol: trades in order of the log, closed bars by interval and open time."""

    trades: list[Trade] = field(default_factory=list)
    bars: dict[str, dict[int, Bar]] = field(default_factory=lambda: defaultdict(dict))


def read_published_records(
    connections: Connections, exchange: str, symbols: Iterable[str], suffices: Callable[[PublishedRecords], bool]
) -> dict[str, PublishedRecords]:
    """The newest live records of each symbol of this exchange; empty for a symbol without any.

    Reads ever more of a partition's end until ``suffices`` holds for each of its symbols, because a quiet symbol's
    records may be far behind those of others, or until READ_MAX records. Raises KafkaException where the broker fails,
    TimeoutError where it does not respond.
    """
    symbol_of_key = {series_key(exchange, symbol): symbol for symbol in symbols}
    reader = consumer(connections, "feed-history", "feed-history", {"enable.partition.eof": True})
    try:
        trades = _read_end(
            _RecordTopic(reader, topics.MARKET_TRADES, decode_trade),
            symbol_of_key,
            lambda found: suffices(PublishedRecords([found[0], found[-1]])),
        )
        bars = _read_end(_RecordTopic(reader, topics.MARKET_BARS, decode_bar), symbol_of_key, lambda _: True)
    finally:
        reader.close()
    return {symbol: _published_records(trades.get(key, []), bars.get(key, [])) for key, symbol in symbol_of_key.items()}


def _published_records(trades: list[Trade], bars: list[Bar]) -> PublishedRecords:
    records = PublishedRecords(trades)
    for bar in bars:
        if bar.closed:
            before = records.bars[bar.interval].get(bar.ts)
            if before is None or before.rev <= bar.rev:
                records.bars[bar.interval][bar.ts] = bar
    for interval, by_open in records.bars.items():
        records.bars[interval] = {ts: by_open[ts] for ts in sorted(by_open)[-BARS_KEPT:]}
    return records


@dataclass(frozen=True)
class _RecordTopic(Generic[Record]):
    """A topic of records of one type, and its reader."""

    reader: Consumer
    name: str
    decode: Callable[[bytes], Record]


def _read_end(
    topic: _RecordTopic[Record], keys: Iterable[str], suffices: Callable[[list[Record]], bool]
) -> dict[str, list[Record]]:
    """The live records of these keys at the end of the topic, by key."""
    found: dict[str, list[Record]] = {}
    # librdkafka chooses a keyed record's partition by crc32, as shard_of does.
    count = len(topic.reader.list_topics(topic.name, timeout=20).topics[topic.name].partitions)
    keys_of_partition: dict[int, set[str]] = defaultdict(set)
    for key in keys:
        keys_of_partition[topics.shard_of(key, count)].add(key)
    for partition, partition_keys in sorted(keys_of_partition.items()):
        low, high = topic.reader.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=20)
        size = FIRST_READ
        while True:
            start = max(low, high - size)
            records = _read_range(topic, partition, start, high, partition_keys)
            is_enough = records.keys() == partition_keys and all(map(suffices, records.values()))
            if is_enough or start == low or size >= READ_MAX:
                break
            size *= 4
        found |= records
    return found


def _read_range(
    topic: _RecordTopic[Record], partition: int, start: int, end: int, keys: Iterable[str]
) -> dict[str, list[Record]]:
    """The live records of these keys with offsets [start, end)."""
    found: dict[str, list[Record]] = {}
    if start >= end:
        return found
    topic.reader.assign([TopicPartition(topic.name, partition, start)])
    # Not the client's position: after a second assignment it is the first one's until a record arrives.
    offset, deadline = start, time.monotonic() + TIMEOUT
    while offset < end:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic.name}[{partition}]: read up to offset {offset} of {end} in {TIMEOUT:g} s")
        for message in topic.reader.consume(5_000, 0.1):
            offset = _next_offset(message, offset)
            key, value = message.key(), message.value()
            if message.error() is not None or offset > end or key is None or value is None:
                continue
            name = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
            if name in keys:
                # Another producer's invalid record is reported by the recorder; it must not stop this pod.
                with contextlib.suppress(ValueError):
                    if origin_of(message.headers()).source == "live":
                        found.setdefault(name, []).append(topic.decode(value))
    return found


def _next_offset(message: Message, offset: int) -> int:
    """The offset after a record, or the end of the partition that the message reports."""
    error, message_offset = message.error(), message.offset()
    if error is None:
        return offset if message_offset is None else message_offset + 1
    if error.code() == KafkaError._PARTITION_EOF:
        return offset if message_offset is None else max(offset, message_offset)
    if not error.retriable():
        raise KafkaException(error)
    return offset
