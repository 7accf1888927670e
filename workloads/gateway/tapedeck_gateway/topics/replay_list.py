"""The replays there are, as their topics say: the first record of each, and the last."""

from __future__ import annotations

import threading
import time

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from tapedeck_common.kafka import consumer
from tapedeck_common.settings import Connections
from tapedeck_common.topics import REPLAY_PREFIX
from tapedeck_common.wire import ControlRecord, End, Start, Watermark, decode_control, origin_of

ANSWER_S = 5.0
FRESH_S = 0.5
TAIL_RECORDS = 8  # commit markers and an end beside the last watermark


class ReplayInfo(msgspec.Struct, frozen=True):
    """One replay. Times are milliseconds UTC; ``started`` is wall clock, the others market time."""

    uid: str
    name: str
    namespace: str
    exchange: str
    symbols: list[str]
    interval: str
    range_from: int
    range_to: int
    rows: int
    started: int
    position: int | None
    epoch: str
    published: int
    ended: bool


class Replays:
    """Reads the ends of all replays' topics on demand, at most twice a second."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._starts: dict[str, tuple[Start, int]] = {}
        self._over: dict[str, ReplayInfo] = {}
        self._listed: list[ReplayInfo] = []
        self._listed_at = float("-inf")

    def listed(self) -> list[ReplayInfo]:
        """All replays that have begun, the newest first. Raises KafkaException."""
        with self._lock:
            if time.monotonic() - self._listed_at > FRESH_S:
                self._listed = self._read()
                self._listed_at = time.monotonic()
            return self._listed

    def _read(self) -> list[ReplayInfo]:
        reader = consumer(
            self._connections, "tapedeck-gateway-list", "tapedeck-gateway", {"enable.partition.eof": True}
        )
        try:
            topics = {
                name.removeprefix(REPLAY_PREFIX): sorted(topic.partitions)
                for name, topic in reader.list_topics(timeout=ANSWER_S).topics.items()
                if name.startswith(REPLAY_PREFIX)
            }
            self._starts = {uid: start for uid, start in self._starts.items() if uid in topics}
            self._over = {uid: info for uid, info in self._over.items() if uid in topics}
            self._read_starts(reader, [uid for uid in topics if uid not in self._starts])
            found = [
                self._over.get(uid) or self._info(reader, uid, topics[uid]) for uid in topics if uid in self._starts
            ]
        finally:
            reader.close()
        self._over |= {info.uid: info for info in found if info.ended}
        return sorted(found, key=lambda info: -info.started)

    def _read_starts(self, reader: Consumer, uids: list[str]) -> None:
        places = [TopicPartition(REPLAY_PREFIX + uid, 0, 0) for uid in uids]
        for message_topic, at, record in _records(reader, places, each=1):
            if isinstance(record, Start):
                self._starts[message_topic.removeprefix(REPLAY_PREFIX)] = (record, at)

    def _info(self, reader: Consumer, uid: str, partitions: list[int]) -> ReplayInfo:
        topic = REPLAY_PREFIX + uid
        places = []
        for number in partitions:
            low, high = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=ANSWER_S)
            places.append(TopicPartition(topic, number, max(low, high - TAIL_RECORDS)))
        last: dict[int, Watermark | End] = {}
        for place in places:
            for _topic, _at, record in _records(reader, [place], each=TAIL_RECORDS):
                if isinstance(record, Watermark | End):
                    last[place.partition] = record
        start, at = self._starts[uid]
        marks = list(last.values())
        return ReplayInfo(
            uid=uid,
            name=start.name,
            namespace=start.namespace,
            exchange=start.exchange,
            symbols=start.symbols,
            interval=start.interval,
            range_from=start.range_from,
            range_to=start.range_to,
            rows=sum(start.rows.values()),
            started=at,
            position=min((mark.v for mark in marks), default=None) if len(marks) == len(partitions) else None,
            epoch=max((mark.epoch for mark in marks), default="0.0"),
            published=sum(mark.published for mark in marks),
            ended=len(marks) == len(partitions) and all(isinstance(mark, End) for mark in marks),
        )


def _records(reader: Consumer, places: list[TopicPartition], each: int) -> list[tuple[str, int, ControlRecord]]:
    """The control records (topic, wall clock, record) among the first ``each`` from each place on."""
    found: list[tuple[str, int, ControlRecord]] = []
    open_: dict[tuple[str, int], int] = {(p.topic, p.partition): each for p in places}
    if not places:
        return found
    reader.assign(places)
    deadline = time.monotonic() + ANSWER_S
    while open_ and time.monotonic() < deadline:
        for message in reader.consume(500, timeout=0.1):
            key = (message.topic() or "", message.partition() or 0)
            fault = message.error()
            if key not in open_:
                continue
            if fault is not None:
                if fault.code() == KafkaError._PARTITION_EOF:
                    del open_[key]
                continue
            if (record := _control(message)) is not None:
                found.append((key[0], message.timestamp()[1], record))
            open_[key] -= 1
            if not open_[key]:
                del open_[key]
    return found


def _control(message: Message) -> ControlRecord | None:
    """The control record that a message is; None for a bar, and for what somebody else left in the topic."""
    try:
        if not origin_of(message.headers()).control:
            return None
        record: ControlRecord = decode_control(message.value() or b"")
        return record
    except ValueError:
        return None
