"""The batch: everything that one database transaction writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from confluent_kafka import Message

from tapedeck_common import records
from tapedeck_common.log_positions import LogPosition, Partition, message_offset, message_partition
from tapedeck_crds.text import printable
from tapedeck_recorder.rows.bar_batch import BarBatch
from tapedeck_recorder.rows.tables import TargetTable

PAYLOAD_MAX = 4_000
REASON_MAX = 1_000

PointKey: TypeAlias = tuple[str, str, str, str, int, str]
"""Exchange, symbol, interval, series, time and id: the primary key of ``points``."""


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

    ``written_at`` is when the last message of each was written to the log, milliseconds UTC.

    ``run_rows`` are rows by run id and table; they are written only while the run is running.
    ``points`` maps a point's key to its revision and row.
    """

    messages: Sequence[Message] = ()
    next_positions: dict[Partition, LogPosition] = field(default_factory=dict)
    written_at: dict[Partition, int] = field(default_factory=dict)
    bars: BarBatch | None = None
    rows: dict[TargetTable, CopyBuffer] = field(default_factory=lambda: defaultdict(CopyBuffer))
    run_rows: dict[str, dict[TargetTable, CopyBuffer]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(CopyBuffer))
    )
    errors: list[IngestErrorRow] = field(default_factory=list)
    gaps: list[records.Gap] = field(default_factory=list)
    listings: list[records.Listing] = field(default_factory=list)
    sessions: list[records.SymbolSession] = field(default_factory=list)
    points: dict[PointKey, tuple[int, bytes]] = field(default_factory=dict)
    runs_started: list[records.RunStarted] = field(default_factory=list)
    runs_ended: list[records.RunEnded] = field(default_factory=list)
    dropped: int = 0


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


def record_timestamp(message: Message) -> int:
    """The Kafka timestamp of a record, milliseconds UTC; 0 where it has none."""
    return max(int(message.timestamp()[1]), 0)


def storable_text(value: str, length: int = PAYLOAD_MAX) -> str:
    """The first ``length`` characters, with NUL and invalid Unicode replaced, which Postgres does not store, and what
    is not visible escaped.
    """
    return printable(value[:length].replace("\x00", "�").encode("utf-8", "replace").decode(), keep="\n\t")
