"""Where reading goes on: the next record of each partition, and the first that has to be read again for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from tapedeck_crds.transforms import Transform

ANSWER_SECONDS = 10.0
FRESH_RECORDS = 10_000  # read before the first place: what the store may not hold yet
VERSION = "1"


@dataclass(frozen=True)
class Place:
    """Records from ``low`` on are read, and results published from ``next`` on. ``past`` asks for the store's too."""

    low: int
    next: int
    past: bool


def fingerprint(transforms: Iterable[Transform]) -> str:
    """What tells transforms from others."""
    text = "\n".join(each.model_dump_json(exclude_none=True) for each in transforms)
    return sha256(text.encode()).hexdigest()[:16]


def metadata(place: Place, transforms: str) -> str:
    """What is committed beside the offset ``next``."""
    return f"{VERSION};{transforms};{place.low};{int(place.past)}"


def find(
    reader: Consumer, topic_names: Iterable[str], transforms: str, since_ms: int | None
) -> dict[tuple[str, int], Place]:
    """Where each partition goes on: as committed, else with what was written at ``since_ms`` or later, else at first.

    Raises KafkaException, also for a topic that there is not.
    """
    partitions = [each for name in topic_names for each in _partitions(reader, name)]
    committed = reader.committed(partitions, timeout=ANSWER_SECONDS)
    begins = _begins(reader, partitions, since_ms)
    found = {}
    for known in committed:
        key = (known.topic, known.partition)
        low, high = reader.get_watermark_offsets(known, timeout=ANSWER_SECONDS)
        found[key] = _place(known, transforms, begins.get(key, low), low, high, fresh_past=since_ms is not None)
    return found


def _partitions(reader: Consumer, name: str) -> list[TopicPartition]:
    described = reader.list_topics(name, timeout=ANSWER_SECONDS).topics[name]
    if described.error is not None:
        raise KafkaException(described.error)
    return [TopicPartition(name, number) for number in described.partitions]


def _begins(reader: Consumer, partitions: list[TopicPartition], since_ms: int | None) -> dict[tuple[str, int], int]:
    if since_ms is None:
        return {}
    asked = [TopicPartition(each.topic, each.partition, since_ms) for each in partitions]
    found = reader.offsets_for_times(asked, timeout=ANSWER_SECONDS)
    return {(each.topic, each.partition): each.offset for each in found}


def _place(known: TopicPartition, transforms: str, begin: int, low: int, high: int, *, fresh_past: bool) -> Place:
    if known.offset == OFFSET_INVALID or known.offset > high:
        first = begin if begin >= 0 else high
        return Place(max(low, first - FRESH_RECORDS) if fresh_past else first, first, fresh_past)
    said = (known.metadata or "").split(";")
    if len(said) == 4 and said[:2] == [VERSION, transforms] and said[2].isdigit():
        wanted = int(said[2])
        return Place(max(wanted, low), max(known.offset, low), fresh_past and (said[3] == "1" or wanted < low))
    return Place(max(low, known.offset - FRESH_RECORDS), max(known.offset, low), fresh_past)


def commit(reader: Consumer, places: dict[tuple[str, int], Place], transforms: str) -> None:
    """Keep where to go on. Raises KafkaException."""
    offsets = [
        TopicPartition(topic, partition, place.next, metadata(place, transforms))
        for (topic, partition), place in places.items()
    ]
    for each in reader.commit(offsets=offsets, asynchronous=False) or ():
        if each.error is not None:
            raise KafkaException(each.error)
