"""The batch: everything that one database transaction writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from confluent_kafka import Message

from tapedeck_common import records
from tapedeck_crds.text import printable
from tapedeck_recorder.rows.tables import TargetTable

PAYLOAD_MAX = 4_000
REASON_MAX = 1_000
NO_OFFSET = -1
"""The stored offset of a partition that was never recorded."""

Partition: TypeAlias = tuple[str, int]
"""Topic and partition number."""
SeriesKey: TypeAlias = tuple[str, str, str]
"""Exchange, symbol and interval."""
OpenRange: TypeAlias = tuple[int, int]
"""The first and the last bar's open time, milliseconds UTC."""
PointKey: TypeAlias = tuple[str, str, str, str, int, str]
"""Exchange, symbol, interval, series, time and id: the primary key of ``points``."""


class LogPosition(NamedTuple):
    """The next offset of a partition, and the leader epoch of the record before it, None where it is not known.

    By the epoch it is noticed that a broker lost that record, even where others were written in its place.
    """

    offset: int = NO_OFFSET
    leader_epoch: int | None = None


@dataclass(frozen=True)
class IngestErrorRow:
    """A row of ``ingest_errors``. ``feed`` is empty where the recorder itself rejected a message."""

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
    rows: int = 1


@dataclass
class CopyBuffer:
    """Rows of COPY BINARY as a list of chunks; a chunk holds one row or many."""

    chunks: list[bytes] = field(default_factory=list)
    count: int = 0

    def add(self, *rows: bytes) -> None:
        """Append encoded rows, one per argument."""
        self.chunks += rows
        self.count += len(rows)

    def extend(self, other: CopyBuffer) -> None:
        """Append the rows of another buffer."""
        self.chunks += other.chunks
        self.count += other.count


@dataclass
class Batch:
    """What ``messages`` decode to. ``next_positions`` are the positions to store for each partition.

    ``run_rows`` are rows by run id and table; they are written only while the run is running.
    ``points`` maps a point's key to its revision and row.
    """

    messages: Sequence[Message] = ()
    next_positions: dict[Partition, LogPosition] = field(default_factory=dict)
    rows: dict[TargetTable, CopyBuffer] = field(default_factory=lambda: defaultdict(CopyBuffer))
    run_rows: dict[str, dict[TargetTable, CopyBuffer]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(CopyBuffer))
    )
    errors: list[IngestErrorRow] = field(default_factory=list)
    gaps: list[records.Gap] = field(default_factory=list)
    open_ranges: dict[SeriesKey, OpenRange] = field(default_factory=dict)
    listings: list[records.Listing] = field(default_factory=list)
    sessions: list[records.SymbolSession] = field(default_factory=list)
    points: dict[PointKey, tuple[int, bytes]] = field(default_factory=dict)
    runs_started: list[records.RunStarted] = field(default_factory=list)
    runs_ended: list[records.RunEnded] = field(default_factory=list)
    dropped: int = 0

    @property
    def rejected(self) -> int:
        """How many messages the recorder rejected."""
        return sum(not error.feed for error in self.errors)


def rejected_message(message: Message, reason: str) -> IngestErrorRow:
    """The row that is kept of a rejected message. Reading the message again gives the same row."""
    raw = (message.value() or b"")[:PAYLOAD_MAX].decode("utf-8", "replace")
    return IngestErrorRow(
        *message_partition(message),
        offset=message_offset(message),
        at=record_timestamp(message),
        reason=storable_text(reason, REASON_MAX),
        payload=storable_text(raw),
    )


def message_partition(message: Message) -> Partition:
    """The partition of a record, or of an error that a client reports in the place of records."""
    topic, partition = message.topic(), message.partition()
    if topic is None or partition is None:
        raise TypeError("message: got one without topic or partition, expected a consumed message")
    return topic, partition


def message_offset(message: Message) -> int:
    """The offset of a record."""
    if (offset := message.offset()) is None:
        raise TypeError("message: got one without offset, expected a record")
    return offset


def position_after(message: Message) -> LogPosition:
    """The position that follows a record."""
    return LogPosition(message_offset(message) + 1, message.leader_epoch())


def record_timestamp(message: Message) -> int:
    """The Kafka timestamp of a record, milliseconds UTC; 0 where it has none."""
    return max(int(message.timestamp()[1]), 0)


def storable_text(value: str, length: int = PAYLOAD_MAX) -> str:
    """The first ``length`` characters, with NUL and invalid Unicode replaced, which Postgres does not store, and what
    is not visible escaped.
    """
    return printable(value[:length].replace("\x00", "�").encode("utf-8", "replace").decode(), keep="\n\t")
