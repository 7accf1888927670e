"""How many rows a file holds, of which time and symbols, and how whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tapedeck_common.files.row_checks import Row
from tapedeck_common.files.rows import read_bars, read_trades
from tapedeck_common.files.source_files import InvalidRow, SourceFile
from tapedeck_common.files.source_rows import ValidBlock
from tapedeck_common.files.table_rows import ReadingNotes
from tapedeck_common.files.timestamps import Int64s
from tapedeck_common.files.valid_bars import ValidBars
from tapedeck_crds.files import Files, Kind
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength

REASONS_MAX = 20
OTHER_REASONS = "other reasons"
PART_BITS = 4_096
ROWS_A_PART = 32
"""So many rows take as long one by one as a part together."""


@dataclass
class Refused:
    """The rows of a file that are refused for one reason; ``line`` is that of the first."""

    reason: str
    line: int
    count: int


@dataclass(frozen=True)
class Counted:
    """The rows of a file: how many are valid, their first and last time, milliseconds UTC, their symbols, in how many
    holes these miss how many bars, rows without values, and which members of an archive hold no market data.
    """

    rows: int = 0
    first: int | None = None
    last: int | None = None
    holes: int = 0
    missing: int = 0
    empty: int = 0
    symbols: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    skipped: tuple[str, ...] = ()


def count_rows(files: Files, kind: Kind, file: SourceFile) -> Counted:
    """Read a file whole, as an import does. Raises InvalidFiles and FilesUnavailable."""
    reasons: dict[str, Refused] = {}

    def refuse(row: InvalidRow) -> None:
        line = int(row.place.rpartition(":")[2])
        reason = row.reason if row.reason in reasons or len(reasons) < REASONS_MAX else OTHER_REASONS
        reasons.setdefault(reason, Refused(reason, line, 0)).count += 1

    length = BAR_LENGTHS[files.interval] if kind == "bars" else None
    read: Callable[..., Iterator[Row[Any] | ValidBlock]] = read_bars if kind == "bars" else read_trades
    notes, spans = ReadingNotes(), dict[str, _SymbolTimes]()
    for item in read(files, [file], refuse, notes=notes):
        symbol = item.series.symbol if isinstance(item, ValidBlock) else item.record.symbol
        span = spans.get(symbol)
        if span is None:
            span = spans[symbol] = _SymbolTimes(length)
        if isinstance(item, ValidBlock):
            span.add_block(item)
        else:
            span.add(item.record.ts)
    return _counted(spans, notes, list(reasons.values()))


def _counted(spans: Mapping[str, _SymbolTimes], notes: ReadingNotes, refused: list[Refused]) -> Counted:
    if not spans:
        return Counted(empty=notes.empty, refused=refused, skipped=tuple(notes.skipped))
    return Counted(
        sum(span.rows for span in spans.values()),
        min(span.first for span in spans.values()),
        max(span.last for span in spans.values()),
        sum(span.holes() for span in spans.values()),
        sum(span.missing() for span in spans.values()),
        notes.empty,
        sorted(spans),
        refused,
        tuple(notes.skipped),
    )


class _SymbolTimes:
    """The times of a symbol's rows; of bars with their ``length``."""

    def __init__(self, length: BarLength | None) -> None:
        self.rows = self.first = self.last = 0
        self._length = length
        self._numbers = NumberSet()

    def add(self, ts: int) -> None:
        """Add a row's time."""
        self._include(1, ts, ts)
        if self._length is not None:
            self._numbers.add(self._length.number(ts))

    def add_block(self, block: ValidBlock) -> None:
        """Add the times of a block."""
        self._include(len(block), int(block.us.min()) // 1_000, int(block.us.max()) // 1_000)
        if self._length is not None and isinstance(block, ValidBars):
            self._numbers.add_all((block.ts - self._length.origin) // self._length.ms)

    def holes(self) -> int:
        """How many stretches without a bar are between the first and the last."""
        return max(self._numbers.runs() - 1, 0)

    def missing(self) -> int:
        """How many bars are missing between the first and the last."""
        if self._length is None:
            return 0
        return self._length.number(self.last) - self._length.number(self.first) + 1 - len(self._numbers)

    def _include(self, rows: int, first: int, last: int) -> None:
        self.first = min(self.first, first) if self.rows else first
        self.last = max(self.last, last) if self.rows else last
        self.rows += rows


class NumberSet:
    """Numbers of bars, a bit each: those of fifty million minutes take six megabytes."""

    def __init__(self) -> None:
        self._parts: dict[int, bytearray] = {}
        self._count = 0

    def add(self, number: int) -> None:
        """Add a number of a bar."""
        key, place = divmod(number, PART_BITS)
        part = self._part(key)
        byte, bit = place >> 3, 1 << (place & 7)
        if not part[byte] & bit:
            part[byte] |= bit
            self._count += 1

    def add_all(self, numbers: Int64s) -> None:
        """Add numbers, shape (n,)."""
        import numpy as np

        keys = numbers // PART_BITS
        found = np.unique(keys).tolist()
        if len(found) * ROWS_A_PART > len(numbers):
            for number in numbers.tolist():
                self.add(number)
            return
        for key in found:
            marks = np.zeros(PART_BITS, bool)
            marks[numbers[keys == key] % PART_BITS] = True
            part = np.frombuffer(self._part(key), np.uint8)
            added = np.packbits(marks, bitorder="little") & ~part
            part |= added
            self._count += int(np.bitwise_count(added).sum())

    def runs(self) -> int:
        """How many runs of successive numbers they make."""
        runs, last = 0, -2  # the part before, of which the last bit was set
        for key in sorted(self._parts):
            bits = int.from_bytes(self._parts[key], "little")
            follows = last == key - 1
            runs += (bits & ~(bits << 1 | follows)).bit_count()
            last = key if bits >> (PART_BITS - 1) else -2
        return runs

    def __len__(self) -> int:
        return self._count

    def _part(self, key: int) -> bytearray:
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = bytearray(PART_BITS // 8)
        return part
