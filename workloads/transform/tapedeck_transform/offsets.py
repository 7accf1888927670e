"""Offsets: where each partition is resumed, and when the pod has caught up with the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from tapedeck_crds.transforms import Transform

REQUEST_SECONDS = 10.0
FRESH_RECORDS = 10_000  # read before the first offset: the store may not contain them yet
VERSION = "1"
CHECK_SECONDS = 0.5
FETCH_DELAY_MS = 1_000  # a record is fetched within so long of its write
PartitionKey: TypeAlias = tuple[str, int]
"""Topic, partition."""


@dataclass(frozen=True)
class ResumePoint:
    """Records are read from offset ``read_from`` and their results published from ``publish_from`` on.

    ``use_store`` means that the store is needed for earlier records.
    """

    read_from: int
    publish_from: int
    use_store: bool


def fingerprint(transforms: Iterable[Transform]) -> str:
    """A hash of the transforms' specs."""
    text = "\n".join(each.model_dump_json(exclude_none=True) for each in transforms)
    return sha256(text.encode()).hexdigest()[:16]


def resume_points(
    reader: Consumer, topic_names: Iterable[str], transforms: str, since_ms: int | None
) -> dict[PartitionKey, ResumePoint]:
    """The resume point of each partition: as committed, else at the first record written at ``since_ms`` or later.

    ``since_ms`` None: at the first record. Raises KafkaException, also for a topic that does not exist.
    """
    partitions = [each for name in topic_names for each in _partitions(reader, name)]
    committed = reader.committed(partitions, timeout=REQUEST_SECONDS)
    first_offsets = _offsets_at(reader, partitions, since_ms)
    points = {}
    for each in committed:
        key = (each.topic, each.partition)
        low, high = reader.get_watermark_offsets(each, timeout=REQUEST_SECONDS)
        first = first_offsets.get(key, low)
        points[key] = _resume_point(each, transforms, first, low, high, has_store=since_ms is not None)
    return points


def commit(reader: Consumer, points: Mapping[PartitionKey, ResumePoint], transforms: str) -> None:
    """Commit the resume points. Raises KafkaException."""
    offsets = [
        TopicPartition(topic, partition, point.publish_from, _metadata(point, transforms))
        for (topic, partition), point in points.items()
    ]
    for each in reader.commit(offsets=offsets, asynchronous=False) or ():
        if each.error is not None:
            raise KafkaException(each.error)


def _metadata(point: ResumePoint, transforms: str) -> str:
    """What is committed with the offset ``publish_from``."""
    return f"{VERSION};{transforms};{point.read_from};{int(point.use_store)}"


def _partitions(reader: Consumer, name: str) -> list[TopicPartition]:
    topic = reader.list_topics(name, timeout=REQUEST_SECONDS).topics[name]
    if topic.error is not None:
        raise KafkaException(topic.error)
    return [TopicPartition(name, number) for number in topic.partitions]


def _offsets_at(reader: Consumer, partitions: list[TopicPartition], since_ms: int | None) -> dict[PartitionKey, int]:
    if since_ms is None:
        return {}
    times = [TopicPartition(each.topic, each.partition, since_ms) for each in partitions]
    offsets = reader.offsets_for_times(times, timeout=REQUEST_SECONDS)
    return {(each.topic, each.partition): each.offset for each in offsets}


def _resume_point(
    committed: TopicPartition, transforms: str, first: int, low: int, high: int, *, has_store: bool
) -> ResumePoint:
    if committed.offset == OFFSET_INVALID or committed.offset > high:  # never committed, or to an earlier topic
        first = first if first >= 0 else high
        return ResumePoint(max(low, first - FRESH_RECORDS) if has_store else first, first, has_store)
    fields = (committed.metadata or "").split(";")
    if len(fields) == 4 and fields[:2] == [VERSION, transforms] and fields[2].isdigit():
        read_from = int(fields[2])
        use_store = has_store and (fields[3] == "1" or read_from < low)
        return ResumePoint(max(read_from, low), max(committed.offset, low), use_store)
    # The transforms have changed: their state is computed from earlier records.
    return ResumePoint(max(low, committed.offset - FRESH_RECORDS), max(committed.offset, low), has_store)


class CatchUpTracker:
    """Reports up to which moment the log is processed, while other programs continue to write to it."""

    def __init__(self, reader: Consumer) -> None:
        self._reader = reader
        self._started: float | None = None  # Unix time at which the ends were read
        self._ends: dict[PartitionKey, int] = {}  # of partitions that have not reached them

    def caught_up(self, next_offsets: Mapping[PartitionKey, int], at_end: set[PartitionKey]) -> int | None:
        """The latest moment, milliseconds UTC, up to which everything is processed; None if it has not advanced.

        ``next_offsets`` are the next offsets of all partitions, ``at_end`` those that have no more records.
        """
        now = time.time()
        if self._started is None:
            self._started = now
            self._ends = {key: self._end(key) for key in next_offsets if key not in at_end}
        self._ends = {
            key: end for key, end in self._ends.items() if key not in at_end and (end < 0 or next_offsets[key] < end)
        }
        if self._ends or now - self._started < CHECK_SECONDS:
            return None
        moment, self._started = int(self._started * 1000) - FETCH_DELAY_MS, None
        return moment

    def _end(self, key: PartitionKey) -> int:
        """The high watermark of the last fetch; negative before the first."""
        watermarks = self._reader.get_watermark_offsets(TopicPartition(*key), cached=True)
        return int(watermarks[1]) if watermarks is not None else -1
