"""What a predecessor of this pod left on the log: where each symbol's trades and bars end."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition

from tapedeck import topics
from tapedeck.kafka import consumer
from tapedeck.market import Bar, Trade, series_key
from tapedeck.settings import Connections
from tapedeck.wire import decode_bar, decode_trade, origin_of

FIRST_LOOK = 5_000  # records of a partition; then four times as many, until enough is known
LOOK_MAX = 2_000_000
TIMEOUT = 60.0
BARS_KEPT = 200


@dataclass
class Tail:
    """The newest of one symbol: trades in order of the log, closed bars by interval and open."""

    trades: list[Trade] = field(default_factory=list)
    bars: dict[str, dict[int, Bar]] = field(default_factory=lambda: defaultdict(dict))


def read_tails(
    connections: Connections, exchange: str, symbols: Iterable[str], enough: Callable[[Tail], bool]
) -> dict[str, Tail]:
    """The tail of each symbol that this exchange's Feed published live, empty for one never seen.

    Reads backwards until ``enough`` holds for all that a partition has of them, or LOOK_MAX records. Raises
    KafkaException where the broker fails, TimeoutError where it does not answer.
    """
    wanted = {series_key(exchange, symbol): symbol for symbol in symbols}
    reader = consumer(connections, "feed-history", "feed-history", {"enable.partition.eof": False})
    try:
        trades = _read(reader, topics.MARKET_TRADES, wanted, lambda found: _trades_suffice(found, enough))
        bars = _read(reader, topics.MARKET_BARS, wanted, lambda found: True)
    finally:
        reader.close()
    tails = {symbol: Tail() for symbol in wanted.values()}
    for key, values in trades.items():
        tails[wanted[key]].trades = [decode_trade(value) for value in values]
    for key, values in bars.items():
        for bar in map(decode_bar, values):
            if bar.closed:
                known = tails[wanted[key]].bars[bar.interval].get(bar.ts)
                if known is None or known.rev <= bar.rev:
                    tails[wanted[key]].bars[bar.interval][bar.ts] = bar
    for tail in tails.values():
        for interval, kept in tail.bars.items():
            tail.bars[interval] = {ts: kept[ts] for ts in sorted(kept)[-BARS_KEPT:]}
    return tails


Values = dict[str, list[bytes]]


def _trades_suffice(found: Values, enough: Callable[[Tail], bool]) -> bool:
    return all(enough(Tail([decode_trade(values[0]), decode_trade(values[-1])])) for values in found.values())


def _read(reader: Consumer, topic: str, wanted: dict[str, str], suffices: Callable[[Values], bool]) -> Values:
    found: Values = {}
    # librdkafka chooses a keyed record's partition by crc32, as shard_of does.
    count = len(reader.list_topics(topic, timeout=20).topics[topic].partitions)
    for partition in sorted({topics.shard_of(key, count) for key in wanted}):
        low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
        look = FIRST_LOOK
        while True:
            start = max(low, high - look)
            part = _between(reader, topic, partition, start, high, wanted)
            if start == low or look >= LOOK_MAX or (len(part) and suffices(part)):
                break
            look *= 4
        found |= part
    return found


def _between(reader: Consumer, topic: str, partition: int, start: int, end: int, wanted: dict[str, str]) -> Values:
    found: Values = {}
    if start >= end:
        return found
    reader.assign([TopicPartition(topic, partition, start)])
    deadline = time.monotonic() + TIMEOUT
    place = [TopicPartition(topic, partition)]
    while (at := reader.position(place)[0].offset) < end:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic}[{partition}]: read up to {at} of {end} in {TIMEOUT:g} s")
        for message in reader.consume(5_000, 0.1):
            offset, key, value = message.offset(), message.key(), message.value()
            if message.error() is not None or offset is None or offset >= end or key is None or value is None:
                continue
            name = key.decode() if isinstance(key, bytes) else key
            if name in wanted and _is_live(message.headers()):
                found.setdefault(name, []).append(value)
    return found


def _is_live(headers: object) -> bool:
    try:
        return origin_of(headers).source == "live"  # type: ignore[arg-type]
    except ValueError:
        return False
