"""The list of replays, from their topics alone: the start record and the last watermark of each."""

from __future__ import annotations

import threading
import time

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common.kafka import consumer
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.topics import REPLAY_PREFIX
from tapedeck_common.wire import ControlRecord, ReplayEnd, ReplayStart, Watermark, decode_control, origin_of
from tapedeck_crds.errors import Unavailable
from tapedeck_gateway.topics.topic_reader import BROKER_UNAVAILABLE, INVALID_RECORD

REQUEST_SECONDS = 5.0
CACHE_SECONDS = 0.5
RETRY_SECONDS = 2.0  # requests fail at once for so long after the broker did not answer
LAST_RECORDS = 8  # transaction markers and an end record may follow the last watermark


class ReplayInfo(msgspec.Struct, frozen=True):
    """One replay. Times are milliseconds UTC; ``started`` is wall clock, the others are market time."""

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


class ReplayList:
    """Reads the ends of all replays' topics on demand, at most every CACHE_SECONDS."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._starts: dict[str, tuple[ReplayStart, int]] = {}
        self._ended: dict[str, ReplayInfo] = {}
        self._cached: list[ReplayInfo] = []
        self._cached_at = self._failed_at = float("-inf")

    def load(self) -> list[ReplayInfo]:
        """All replays that have started, the newest first. Raises Unavailable where the broker does not answer."""
        with self._lock:
            if time.monotonic() - self._cached_at > CACHE_SECONDS:
                if time.monotonic() - self._failed_at < RETRY_SECONDS:
                    raise Unavailable(BROKER_UNAVAILABLE)
                try:
                    self._cached = self._read()
                except KafkaException as error:
                    self._failed_at = time.monotonic()
                    raise Unavailable(BROKER_UNAVAILABLE) from error
                self._cached_at = time.monotonic()
            return self._cached

    def _read(self) -> list[ReplayInfo]:
        reader = consumer(
            self._connections, "tapedeck-gateway-list", "tapedeck-gateway", {"enable.partition.eof": True}
        )
        try:
            partitions = {
                name.removeprefix(REPLAY_PREFIX): sorted(topic.partitions)
                for name, topic in reader.list_topics(timeout=REQUEST_SECONDS).topics.items()
                if name.startswith(REPLAY_PREFIX)
            }
            self._starts = {uid: start for uid, start in self._starts.items() if uid in partitions}
            self._ended = {uid: info for uid, info in self._ended.items() if uid in partitions}
            self._read_starts(reader, [uid for uid in partitions if uid not in self._starts])
            found = [
                self._ended.get(uid) or self._read_info(reader, uid, partitions[uid])
                for uid in partitions
                if uid in self._starts
            ]
        finally:
            reader.close()
        self._ended |= {info.uid: info for info in found if info.ended}
        return sorted(found, key=lambda info: -info.started)

    def _read_starts(self, reader: Consumer, uids: list[str]) -> None:
        beginnings = [TopicPartition(REPLAY_PREFIX + uid, 0, 0) for uid in uids]
        for topic, written_at, record in _control_records(reader, beginnings, limit=1):
            if isinstance(record, ReplayStart):
                self._starts[topic.removeprefix(REPLAY_PREFIX)] = (record, written_at)

    def _read_info(self, reader: Consumer, uid: str, partitions: list[int]) -> ReplayInfo:
        topic = REPLAY_PREFIX + uid
        ends = []
        for number in partitions:
            low, high = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=REQUEST_SECONDS)
            ends.append(TopicPartition(topic, number, max(low, high - LAST_RECORDS)))
        last: dict[int, Watermark | ReplayEnd] = {}
        for end in ends:
            for _topic, _written_at, record in _control_records(reader, [end], limit=LAST_RECORDS):
                if isinstance(record, Watermark | ReplayEnd):
                    last[end.partition] = record
        start, started = self._starts[uid]
        watermarks = list(last.values())
        complete = len(watermarks) == len(partitions)
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
            started=started,
            position=min((watermark.v for watermark in watermarks), default=None) if complete else None,
            epoch=max((watermark.epoch for watermark in watermarks), default="0.0"),
            published=sum(watermark.published for watermark in watermarks),
            ended=complete and all(isinstance(watermark, ReplayEnd) for watermark in watermarks),
        )


def _control_records(
    reader: Consumer, starts: list[TopicPartition], limit: int
) -> list[tuple[str, int, ControlRecord]]:
    """(topic, wall clock, record) of the control records among the first ``limit`` records from each start on."""
    found: list[tuple[str, int, ControlRecord]] = []
    remaining: dict[tuple[str, int], int] = {(p.topic, p.partition): limit for p in starts}
    if not starts:
        return found
    reader.assign(starts)
    deadline = time.monotonic() + REQUEST_SECONDS
    while remaining and time.monotonic() < deadline:
        for message in reader.consume(500, timeout=0.1):
            key = (message.topic() or "", message.partition() or 0)
            error = message.error()
            if key not in remaining:
                continue
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    del remaining[key]
                continue
            if (record := _control_record(message)) is not None:
                found.append((key[0], message.timestamp()[1], record))
            remaining[key] -= 1
            if not remaining[key]:
                del remaining[key]
    return found


def _control_record(message: Message) -> ControlRecord | None:
    """The control record in a message; None for a bar, and for a record that Tapedeck did not write."""
    try:
        if not origin_of(message.headers()).control:
            return None
        record: ControlRecord = decode_control(message.value() or b"")
        return record
    except INVALID_RECORD as error:
        log.warning("skipped an invalid record", topic=message.topic(), offset=message.offset(), reason=str(error))
        return None
