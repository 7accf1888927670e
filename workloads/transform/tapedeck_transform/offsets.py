"""Offsets: where each partition is resumed, and when the pod has caught up with the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import stamina
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tapedeck_common.kafka import admin, is_transient
from tapedeck_common.log_positions import (
    NO_OFFSET,
    LogPosition,
    Partition,
    continuations,
    from_topic_partition,
    offsets_since,
    to_topic_partition,
)
from tapedeck_common.logs import log
from tapedeck_common.published_log import PublishedLog
from tapedeck_common.settings import Connections
from tapedeck_common.topic_ids import topic_ids
from tapedeck_crds.transforms import Transform
from tapedeck_transform.checkpoints import (
    Checkpoint,
    Trail,
    extended,
    from_text,
    last_intact,
    newest_positions,
    to_text,
)

REQUEST_SECONDS = 10.0
FRESH_RECORDS = 10_000  # read before the first offset: the store may not contain them yet
VERSION = "3"
CHECK_SECONDS = 0.5
FETCH_DELAY_MS = 1_000  # a record is fetched within so long of its write


@dataclass(frozen=True)
class ResumePoint:
    """Records are read from offset ``read_from`` and their results published from ``publish_from`` on.

    ``use_store`` means that the store is needed for earlier records.
    """

    read_from: int
    publish_from: LogPosition
    use_store: bool


class _Committed(NamedTuple):
    """What a pod committed. ``read_from`` is None where the transforms have changed since."""

    position: LogPosition = LogPosition()
    trail: Trail = ()
    read_from: int | None = None
    used_store: bool = False


class _Log(NamedTuple):
    """A partition's log from ``low`` on; ``following`` is where it continues after what was committed, and ``first``
    the first record to publish results of if nothing was. The results of records from ``unpublished`` on are missing.
    """

    low: int
    following: int
    first: int
    unpublished: int


def fingerprint(transforms: Iterable[Transform]) -> str:
    """A hash of the transforms' specs."""
    text = "\n".join(each.model_dump_json(exclude_none=True) for each in transforms)
    return sha256(text.encode()).hexdigest()[:16]


class GroupOffsets:
    """The resume points of a consumer group. With each the topic's id is committed, a hash of the transforms, and what
    was published. ``outputs`` returns the partitions to which the points of a partition's records are published.

    Offsets do not apply to a topic that was created again under the same name.
    """

    def __init__(
        self,
        connections: Connections,
        group: str,
        reader: Consumer,
        transforms: Iterable[Transform],
        outputs: Callable[[Partition], Sequence[Partition]],
    ) -> None:
        self._connections, self._group, self._reader = connections, group, reader
        self._fingerprint = fingerprint(transforms)
        self._outputs = outputs
        self._topic_ids: dict[str, str] = {}
        self._trails: dict[Partition, Trail] = {}
        self._published = PublishedLog(connections, group, ())

    def resume_points(self, topic_names: Iterable[str], since_ms: int | None) -> dict[Partition, ResumePoint]:
        """The resume point of each partition: as committed, else at the first record written at ``since_ms`` or later.

        ``since_ms`` None: at the first record. Where the broker lost records that were processed, or their points, it
        is before them. Raises KafkaException, also for a topic that does not exist, and NoTopicIds.
        """
        self._topic_ids = topic_ids(admin(self._connections, self._group), topic_names)
        partitions = [each for name in self._topic_ids for each in self._partitions(name)]
        committed = self._committed(partitions)
        missing = self._missing_points(committed)  # first: it asks for the leaders, which ``confirm`` compares
        positions = {key: each.position for key, each in committed.items()}
        following = continuations(self._connections, self._group, self._group, positions)
        first_offsets = {} if since_ms is None else offsets_since(self._reader, committed, since_ms)
        points = {}
        for key, each in committed.items():
            low, _ = self._reader.get_watermark_offsets(TopicPartition(*key), timeout=REQUEST_SECONDS)
            intact = last_intact(each.trail, self._outputs(key), missing)
            unpublished = low if intact is None else intact.offset
            of_log = _Log(low, following.get(key, each.position.offset), first_offsets.get(key, low), unpublished)
            _log_losses(key, each.position.offset, of_log)
            points[key] = _resume_point(each, of_log, has_store=since_ms is not None)
            first = points[key].publish_from.offset
            kept = [checkpoint for checkpoint in each.trail if checkpoint.offset <= first]
            self._trails[key] = tuple(kept) or (Checkpoint(first),)
        # At once: later points of another partition on the same output would hide that earlier ones are missing.
        if again := {key: at for key, at in points.items() if at.publish_from.offset < committed[key].position.offset}:
            self._write(again)
        return points

    @stamina.retry(on=is_transient, attempts=6, timeout=60.0, wait_max=3.0)
    def confirm(self, acknowledged: Mapping[Partition, int]) -> bool:
        """Whether points that the broker acknowledged, the last at these offsets, are on the log.

        False where it may have lost them, or records that were read: resume again. Raises KafkaException.
        """
        return self._published.confirm(acknowledged)

    def commit(self, points: Mapping[Partition, ResumePoint]) -> None:
        """Commit the resume points, after their points are confirmed. Raises KafkaException."""
        for partition, point in points.items():
            checkpoint = Checkpoint(point.publish_from.offset, self._written(partition))
            self._trails[partition] = extended(self._trails[partition], checkpoint)
        self._write(points)

    def _written(self, partition: Partition) -> tuple[LogPosition, ...]:
        """How far the points of a partition reach on each output: where none followed a loss, as far as before it."""
        outputs = self._outputs(partition)
        before = dict(zip(outputs, self._trails[partition][-1].written, strict=False))
        return tuple(self._published.confirmed.get(each, before.get(each, LogPosition())) for each in outputs)

    def _write(self, points: Mapping[Partition, ResumePoint]) -> None:
        offsets = [
            to_topic_partition(partition, point.publish_from, self._metadata(partition, point))
            for partition, point in points.items()
        ]
        _checked(self._reader.commit(offsets=offsets, asynchronous=False) or [])

    def _missing_points(self, committed: Mapping[Partition, _Committed]) -> dict[Partition, int]:
        """Where the logs of points now end that lack some which were published."""
        outputs = {key: self._outputs(key) for key in committed}
        known = newest_positions({key: (each.trail, outputs[key]) for key, each in committed.items()})
        partitions = {each for some in outputs.values() for each in some}
        self._published = PublishedLog(self._connections, self._group, partitions, known, committed)
        return self._published.missing()

    def _partitions(self, name: str) -> list[TopicPartition]:
        topic = self._reader.list_topics(name, timeout=REQUEST_SECONDS).topics[name]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return [TopicPartition(name, number) for number in topic.partitions]

    def _committed(self, partitions: list[TopicPartition]) -> dict[Partition, _Committed]:
        found = _checked(self._reader.committed(partitions, timeout=REQUEST_SECONDS))
        return {(each.topic, each.partition): self._parse(each) for each in found}

    def _metadata(self, partition: Partition, point: ResumePoint) -> str:
        """What is committed with the offset ``publish_from``."""
        known = (VERSION, self._topic_ids[partition[0]], to_text(self._trails[partition]))
        return ";".join(map(str, (*known, self._fingerprint, point.read_from, int(point.use_store))))

    def _parse(self, committed: TopicPartition) -> _Committed:
        fields = (committed.metadata or "").split(";")
        if fields[:2] != [VERSION, self._topic_ids[committed.topic]]:
            return _Committed()
        position = from_topic_partition(committed)
        trail = from_text(fields[2])
        if fields[3] != self._fingerprint:
            return _Committed(position, trail)
        return _Committed(position, trail, int(fields[4]), fields[5] == "1")


def _resume_point(committed: _Committed, of_log: _Log, *, has_store: bool) -> ResumePoint:
    if committed.position.offset == NO_OFFSET:
        first = of_log.first
        return ResumePoint(_before(first, of_log.low) if has_store else first, LogPosition(first), has_store)
    offset = committed.position.offset
    again = max(min(of_log.following, of_log.unpublished), of_log.low)
    if again < offset:
        # The committed state is a later one, or of lost records. Without a store, a Replay's begins with its topic.
        return ResumePoint(_before(again, of_log.low) if has_store else of_log.low, LogPosition(again), has_store)
    publish_from = committed.position if offset >= of_log.low else LogPosition(of_log.low)
    if committed.read_from is None:  # the state of other transforms is computed from earlier records
        return ResumePoint(_before(offset, of_log.low), publish_from, has_store)
    use_store = has_store and (committed.used_store or committed.read_from < of_log.low)
    return ResumePoint(max(committed.read_from, of_log.low), publish_from, use_store)


def _log_losses(partition: Partition, committed: int, of_log: _Log) -> None:
    place = {"topic": partition[0], "partition": partition[1]}
    if of_log.following < committed:
        log.error("the broker lost processed records", **place, offset=of_log.following)
    if of_log.unpublished < committed:
        log.error("the broker lost points, which are published again", **place, offset=of_log.unpublished)


def _checked(answers: list[TopicPartition]) -> list[TopicPartition]:
    """The answers about partitions. Raises KafkaException where one is an error."""
    for each in answers:
        if each.error is not None:
            raise KafkaException(each.error)
    return answers


def _before(offset: int, low: int) -> int:
    return max(low, offset - FRESH_RECORDS)


class CatchUpTracker:
    """Reports up to which moment the log is processed, while other programs continue to write to it."""

    def __init__(self, reader: Consumer) -> None:
        self._reader = reader
        # When the ends were read, in Unix time and on the clock that nobody sets.
        self._started: tuple[float, float] | None = None
        self._ends: dict[Partition, int] = {}  # of partitions that have not reached them

    def caught_up(self, next_offsets: Mapping[Partition, int], at_end: set[Partition]) -> int | None:
        """The latest moment, milliseconds UTC, up to which everything is processed; None if it has not advanced.

        ``next_offsets`` are the next offsets of all partitions, ``at_end`` those that have no more records.
        """
        now = time.monotonic()
        if self._started is None:
            self._started = (time.time(), now)
            self._ends = {key: self._end(key) for key in next_offsets if key not in at_end}
        self._ends = {
            key: end for key, end in self._ends.items() if key not in at_end and (end < 0 or next_offsets[key] < end)
        }
        read_at, since = self._started
        if self._ends or now - since < CHECK_SECONDS:
            return None
        self._started = None
        return int(read_at * 1000) - FETCH_DELAY_MS

    def _end(self, key: Partition) -> int:
        """The high watermark of the last fetch; negative before the first."""
        watermarks = self._reader.get_watermark_offsets(TopicPartition(*key), cached=True)
        return int(watermarks[1]) if watermarks is not None else -1
