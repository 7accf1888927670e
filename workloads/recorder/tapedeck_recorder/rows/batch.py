"""What one transaction writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from confluent_kafka import Message

from tapedeck_common import records
from tapedeck_recorder.rows.tables import Table

PAYLOAD_MAX = 4_000
REASON_MAX = 1_000

Partition: TypeAlias = tuple[str, int]
Series: TypeAlias = tuple[str, str, str]
"""Exchange, symbol and interval."""
Span: TypeAlias = tuple[int, int]
"""First and last open, milliseconds UTC."""


@dataclass(frozen=True)
class Fault:
    """A row of ingest_errors. A message that could not be taken names no ``feed``."""

    topic: str
    partition: int
    offset: int
    at: int
    reason: str
    payload: str
    feed: str = ""
    exchange: str = ""
    symbol: str = ""
    place: str = ""


@dataclass
class Rows:
    """Rows of COPY BINARY, in as many parts as is handy."""

    parts: list[bytes] = field(default_factory=list)
    count: int = 0

    def add(self, *rows: bytes) -> None:
        self.parts += rows
        self.count += len(rows)

    def add_all(self, other: Rows) -> None:
        """What another has, behind."""
        self.parts += other.parts
        self.count += other.count


@dataclass
class Batch:
    """What the ``messages`` come to. ``next_offsets`` is where each partition goes on.

    ``of_runs`` are the rows of runs by their id, ``tried`` the runs of which there are trials.
    ``points`` are revision and row of each, by key.
    """

    messages: Sequence[Message] = ()
    next_offsets: dict[Partition, int] = field(default_factory=dict)
    rows: dict[Table, Rows] = field(default_factory=lambda: defaultdict(Rows))
    of_runs: dict[str, dict[Table, Rows]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Rows)))
    faults: list[Fault] = field(default_factory=list)
    gaps: list[records.Gap] = field(default_factory=list)
    spans: dict[Series, Span] = field(default_factory=dict)
    listings: list[records.Listing] = field(default_factory=list)
    points: dict[tuple[str, str, str, str, int, str], tuple[int, bytes]] = field(default_factory=dict)
    started: list[records.RunStarted] = field(default_factory=list)
    ended: list[records.RunEnded] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    dropped: int = 0

    @property
    def poison(self) -> int:
        """How many messages could not be taken."""
        return sum(not fault.feed for fault in self.faults)


def poison(message: Message, reason: str) -> Fault:
    """What is kept of a message that could not be taken. The same again, should it be read again."""
    raw = (message.value() or b"")[:PAYLOAD_MAX].decode("utf-8", "replace")
    return Fault(*place(message), at=written_at(message), reason=bounded(reason, REASON_MAX), payload=bounded(raw))


def place(message: Message) -> tuple[str, int, int]:
    """Topic, partition and offset."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise TypeError("a message without a place")
    return topic, partition, offset


def written_at(message: Message) -> int:
    """When the message was written to the log, milliseconds UTC; 0 where the log does not say."""
    return max(int(message.timestamp()[1]), 0)


def bounded(value: str, length: int = PAYLOAD_MAX) -> str:
    """Text that Postgres can hold, of at most ``length`` characters."""
    return value[:length].replace("\x00", "�").encode("utf-8", "replace").decode()
