"""The list of replays, from their topics alone: the start record and the last watermark of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common.kafka import admin, consumer
from tapedeck_common.log_positions import list_offsets
from tapedeck_common.logs import log
from tapedeck_common.market import recorded_market
from tapedeck_common.settings import Connections
from tapedeck_common.topics import REPLAY_PREFIX
from tapedeck_common.wire import ControlRecord, Epoch, ReplayEnd, ReplayStart, Watermark, origin_of
from tapedeck_crds.errors import Unavailable
from tapedeck_gateway.topics.control_records import control_record, played_spec
from tapedeck_gateway.topics.topic_reader import INVALID_RECORD, broker_unavailable

CLIENT_ID = "tapedeck-gateway-list"
REQUEST_SECONDS = 5.0
CACHE_SECONDS = 0.5
RETRY_SECONDS = 2.0  # requests fail at once for so long after the broker did not answer
LOOK_FURTHER = 64
LAST_RECORDS = 8  # transaction markers and an end record may follow the last watermark


class ReplayInfo(msgspec.Struct, frozen=True):
    """One replay. Times are milliseconds UTC; ``started`` is wall clock, the others are market time.

    ``recorded_as`` is the exchange id of the market that it records, empty if it records none. ``transforms`` are the
    names of its series.
    """

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
    recorded_as: str
    transforms: list[str]


class _Reached(msgspec.Struct, frozen=True):
    """How far a replay's topic is, by the last watermark of each partition. ``position`` is None before the first.

    ``ends`` are the offsets at which the partitions ended then: where they have not moved, nothing else has.
    """

    ends: list[int]
    position: int | None
    epoch: str
    published: int
    ended: bool


class ReplayList:
    """Reads the ends of all replays' topics on demand, at most every CACHE_SECONDS."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._admin = admin(connections, CLIENT_ID)
        self._lock = threading.Lock()
        self._starts: dict[str, tuple[ReplayStart, int]] = {}
        self._reached: dict[str, _Reached] = {}
        self._cached: list[ReplayInfo] = []
        self._cached_at = self._failed_at = float("-inf")
        self._failure: KafkaException | None = None

    def load(self, *, fresh: bool = False) -> list[ReplayInfo]:
        """All replays that have started, the newest first; with ``fresh``, also one that started a moment ago.

        Raises Unavailable where the broker does not answer.
        """
        with self._lock:
            self._refresh(0.0 if fresh else CACHE_SECONDS)
            return self._cached

    def last_known(self) -> list[ReplayInfo]:
        """As ``load``; while the broker does not answer, what it last said: without it no replay moves.

        Raises Unavailable where it has not answered yet.
        """
        with self._lock:
            self._refresh_if_possible()
            return self._cached

    def positions(self) -> dict[str, int | None]:
        """The position of each replay that has a topic, by uid; None before its first watermark. As ``last_known``."""
        with self._lock:
            self._refresh_if_possible()
            return {uid: reached.position for uid, reached in self._reached.items()}

    def _refresh_if_possible(self) -> None:
        try:
            self._refresh()
        except Unavailable:
            if self._cached_at == float("-inf"):
                raise

    def _refresh(self, max_age: float = CACHE_SECONDS) -> None:
        if time.monotonic() - self._cached_at <= max_age:
            return
        if self._failure is not None and time.monotonic() - self._failed_at < RETRY_SECONDS:
            raise broker_unavailable(self._failure) from self._failure
        try:
            self._read()
        except KafkaException as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise broker_unavailable(error) from error
        self._cached_at = time.monotonic()

    def _read(self) -> None:
        reader = consumer(self._connections, CLIENT_ID, "tapedeck-gateway", {"enable.partition.eof": True})
        try:
            partitions = {
                name.removeprefix(REPLAY_PREFIX): sorted(topic.partitions)
                for name, topic in reader.list_topics(timeout=REQUEST_SECONDS).topics.items()
                if name.startswith(REPLAY_PREFIX)
            }
            self._starts = {uid: start for uid, start in self._starts.items() if uid in partitions}
            self._read_starts(reader, [uid for uid in partitions if uid not in self._starts])
            reached: dict[str, _Reached] = {}
            ends = self._ends(partitions)
            for uid, numbers in partitions.items():
                before = self._reached.get(uid)
                unmoved = before is not None and before.ended and before.ends == ends[uid]
                now = before if unmoved else _read_reached(reader, uid, numbers)
                if now is not None:
                    reached[uid] = now
        finally:
            reader.close()
        self._reached = reached
        infos = [self._info(uid, *self._starts[uid]) for uid in reached if uid in self._starts]
        self._cached = sorted(infos, key=lambda info: -info.started)

    def _ends(self, partitions: Mapping[str, list[int]]) -> dict[str, list[int]]:
        """The end of each partition, by replay. One that is held at its end may go on after it."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = [(REPLAY_PREFIX + uid, n) for uid, numbers in partitions.items() for n in numbers]
        found = list_offsets(self._admin, asked, latest, REQUEST_SECONDS)
        return {uid: [found[REPLAY_PREFIX + uid, n].offset for n in numbers] for uid, numbers in partitions.items()}

    def _read_starts(self, reader: Consumer, uids: list[str]) -> None:
        beginnings = [TopicPartition(REPLAY_PREFIX + uid, 0, 0) for uid in uids]
        for topic, written_at, record in _control_records(reader, beginnings, limit=1):
            if isinstance(record, ReplayStart):
                self._starts[topic.removeprefix(REPLAY_PREFIX)] = (record, written_at)

    def _info(self, uid: str, start: ReplayStart, started: int) -> ReplayInfo:
        spec = played_spec(start)
        reached = self._reached[uid]
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
            position=reached.position,
            epoch=reached.epoch,
            published=reached.published,
            ended=reached.ended,
            recorded_as=recorded_market(start.name) if spec.record else "",
            transforms=[transform.name for transform in spec.transforms or ()],
        )


def _read_reached(reader: Consumer, uid: str, numbers: list[int]) -> _Reached | None:
    """How far a topic is; None where retention has deleted all of it, so that its replay cannot continue."""
    last: dict[int, Watermark | ReplayEnd] = {}
    ends: list[int] = []
    expired = True
    for number in numbers:
        place = TopicPartition(REPLAY_PREFIX + uid, number)
        low, high = reader.get_watermark_offsets(place, timeout=REQUEST_SECONDS)
        ends.append(high)
        expired = expired and 0 < low == high
        record = _last_watermark(reader, place.topic, number, low, high)
        if record is not None:
            last[number] = record
    if expired:
        return None
    complete = len(last) == len(numbers)
    watermarks = list(last.values())
    return _Reached(
        ends=ends,
        position=min(watermark.v for watermark in watermarks) if complete else None,
        epoch=max((watermark.epoch for watermark in watermarks), key=Epoch.parse, default=str(Epoch())),
        published=sum(watermark.published for watermark in watermarks),
        ended=complete and all(isinstance(watermark, ReplayEnd) for watermark in watermarks),
    )


def _last_watermark(reader: Consumer, topic: str, number: int, low: int, high: int) -> Watermark | ReplayEnd | None:
    """The last committed watermark of a partition, searched for further and further back: aborted records hide it."""
    records = LAST_RECORDS
    while True:
        first = max(low, high - records)
        if first >= high:
            return None
        found = _control_records(reader, [TopicPartition(topic, number, first)], limit=records)
        watermarks = [record for _, _, record in found if isinstance(record, Watermark | ReplayEnd)]
        if watermarks or first == low:
            return watermarks[-1] if watermarks else None
        records *= LOOK_FURTHER


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
    if remaining:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{len(remaining)} partitions were not read"))
    return found


def _control_record(message: Message) -> ControlRecord | None:
    """The control record in a message; None for a bar, and for a record that Tapedeck did not write."""
    try:
        if not origin_of(message.headers()).control:
            return None
        return control_record(message.value() or b"")
    except INVALID_RECORD as error:
        place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
        log.warning("skipped an invalid record", **place, reason=str(error))
        return None
