"""Which rows of a file are valid, and whether enough of them are: else the file is something else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import InvalidTrade
from tapedeck_common.files.source_files import InvalidRow
from tapedeck_common.files.source_rows import ValidBlock
from tapedeck_common.market import Bar, Trade

RecordT = TypeVar("RecordT", Bar, Trade)
OnInvalid: TypeAlias = Callable[[InvalidRow], None]
INVALID_MIN = 10
"""Invalid rows that any file may have."""


class Row(NamedTuple, Generic[RecordT]):
    """A valid bar or trade, its time in microseconds UTC, and its place (``name:line``)."""

    us: int
    place: str
    record: RecordT


class ParsedRow(NamedTuple, Generic[RecordT]):
    """A row's number in its file, the row itself, and what it was parsed to."""

    number: int
    row: object
    parsed: tuple[int, RecordT] | ValueError


@dataclass
class RowChecks(Generic[RecordT]):
    """Checks the rows of one file. ``problem_of`` says what is wrong with a record, None if nothing is.

    ``symbol`` is that of all rows, empty where they say it. Until a row is valid, a message quotes only rows of the
    ``shape`` of market data: those of another file may be a secret.
    """

    name: str
    symbol: str
    problem_of: Callable[[int, RecordT], str | None]
    on_invalid: OnInvalid
    valid: int = 0
    invalid: int = 0
    first: str = ""

    def rows(
        self, name: str, rows: Iterator[ParsedRow[RecordT]], shape: re.Pattern[str] | None
    ) -> Iterator[Row[RecordT]]:
        """The valid ones of the rows of a file, or of a member with a name of its own; others go to the callback."""
        for number, row, parsed in rows:
            place = f"{name}:{number}"
            problem = str(parsed) if isinstance(parsed, ValueError) else self.problem_of(*parsed)
            if problem is None:
                assert not isinstance(parsed, ValueError)
                self.valid += 1
                yield Row(parsed[0], place, parsed[1])
                continue
            if not (self.valid or shape is None or shape.fullmatch(str(row))):
                problem, row = "expected a row of market data", ""
            self.invalid += 1
            self.first = self.first or f"{place}: {problem}"
            symbol = self.symbol if isinstance(parsed, ValueError) else parsed[1].symbol
            self.on_invalid(InvalidRow(place, problem, str(row), _id_of(parsed), symbol))

    def block(self, block: ValidBlock) -> ValidBlock:
        """A block, whose rows are valid."""
        self.valid += len(block)
        return block

    def check(self) -> None:
        """Raises InvalidFiles where most rows are invalid."""
        if self.invalid > max(INVALID_MIN, self.valid):
            raise InvalidFiles(
                f"{self.name}: {self.invalid} of {self.invalid + self.valid} rows are invalid, expected few; the "
                f"first: {self.first}"
            )


def _id_of(parsed: tuple[int, RecordT] | ValueError) -> str:
    """A trade's id, where it could be read; empty for a bar."""
    if isinstance(parsed, ValueError):
        return parsed.id if isinstance(parsed, InvalidTrade) else ""
    return str(getattr(parsed[1], "id", ""))
