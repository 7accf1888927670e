"""What a predecessor of this pod left on the log: where each symbol's trades and bars end."""

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

FIRST_LOOK = 5_000  # records of a partition; then four times as many, until enough is known
LOOK_MAX = 2_000_000
TIMEOUT = 60.0
BARS_KEPT = 200
Record = TypeVar("Record", Trade, Bar)


@dataclass
class Tail:
    """The newest of one symbol: trades in order of the log, closed bars by interval and open."""

    trades: list[Trade] = field(default_factory=list)
    bars: dict[str, dict[int, Bar]] = field(default_factory=lambda: defaultdict(dict))


def read_tails(
    connections: Connections, exchange: str, symbols: Iterable[str], enough: Callable[[Tail], bool]
) -> dict[str, Tail]:
    """The tail of each symbol that this exchange's Feed published live, empty for one never seen.

    Reads a partition backwards until ``enough`` holds for each of its symbols, a quiet one's lying far behind those of
    others, or LOOK_MAX records. Raises KafkaException where the broker fails, TimeoutError where
    it does not answer.
    """
    wanted = {series_key(exchange, symbol): symbol for symbol in symbols}
    reader = consumer(connections, "feed-history", "feed-history", {"enable.partition.eof": True})
    try:
        trades = _read(_Kept(reader, topics.MARKET_TRADES, decode_trade), wanted, lambda t: enough(Tail([t[0], t[-1]])))
        bars = _read(_Kept(reader, topics.MARKET_BARS, decode_bar), wanted, lambda _: True)
    finally:
        reader.close()
    return {symbol: _tail(trades.get(key, []), bars.get(key, [])) for key, symbol in wanted.items()}


def _tail(trades: list[Trade], bars: list[Bar]) -> Tail:
    tail = Tail(trades)
    for bar in bars:
        if bar.closed:
            known = tail.bars[bar.interval].get(bar.ts)
            if known is None or known.rev <= bar.rev:
                tail.bars[bar.interval][bar.ts] = bar
    for interval, kept in tail.bars.items():
        tail.bars[interval] = {ts: kept[ts] for ts in sorted(kept)[-BARS_KEPT:]}
    return tail


@dataclass(frozen=True)
class _Kept(Generic[Record]):
    """What a topic keeps of records of one type."""

    reader: Consumer
    topic: str
    decode: Callable[[bytes], Record]


def _read(
    kept: _Kept[Record], wanted: Iterable[str], suffices: Callable[[list[Record]], bool]
) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    # librdkafka chooses a keyed record's partition by crc32, as shard_of does.
    count = len(kept.reader.list_topics(kept.topic, timeout=20).topics[kept.topic].partitions)
    keys: dict[int, set[str]] = defaultdict(set)
    for key in wanted:
        keys[topics.shard_of(key, count)].add(key)
    for partition, here in sorted(keys.items()):
        low, high = kept.reader.get_watermark_offsets(TopicPartition(kept.topic, partition), timeout=20)
        look = FIRST_LOOK
        while True:
            start = max(low, high - look)
            part = _between(kept, partition, start, high, here)
            known = part.keys() == here and all(map(suffices, part.values()))
            if known or start == low or look >= LOOK_MAX:
                break
            look *= 4
        found |= part
    return found


def _between(kept: _Kept[Record], partition: int, start: int, end: int, wanted: set[str]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    if start >= end:
        return found
    kept.reader.assign([TopicPartition(kept.topic, partition, start)])
    # Not by the client's position: after a second assignment it is that of the first until something comes.
    at, deadline = start, time.monotonic() + TIMEOUT
    while at < end:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{kept.topic}[{partition}]: read up to {at} of {end} in {TIMEOUT:g} s")
        for message in kept.reader.consume(5_000, 0.1):
            at = _place_behind(message, at)
            key, value = message.key(), message.value()
            if message.error() is not None or at > end or key is None or value is None:
                continue
            name = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
            if name in wanted:
                # Another producer's poison is the recorder's to tell: it is no reason not to begin.
                with contextlib.suppress(ValueError):
                    if origin_of(message.headers()).source == "live":
                        found.setdefault(name, []).append(kept.decode(value))
    return found


def _place_behind(message: Message, at: int) -> int:
    """The offset that comes next: behind a record, or at the end that is told."""
    fault, offset = message.error(), message.offset()
    if fault is None:
        return at if offset is None else offset + 1
    if fault.code() == KafkaError._PARTITION_EOF:
        return at if offset is None else max(at, offset)
    if not fault.retriable():
        raise KafkaException(fault)
    return at
