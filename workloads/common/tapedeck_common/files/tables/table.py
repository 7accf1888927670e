"""A table of a file as its readers give it: what is known before the rows, and the rows in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

BATCH_ROWS = 10_000
SAMPLE_ROWS = 1_000


class InvalidCells(NamedTuple):
    """A row that cannot be divided into the table's columns: its number, the reason and its text."""

    number: int
    reason: str
    text: str


class ColumnBatch(NamedTuple):
    """Rows of a table: their numbers in the file, from 1, and an array of pyarrow for each column.

    The columns of text tables are strings, or where ``as_text`` is given of the types that were asked for: it gives the
    same rows as strings, until the next batch is read. Those of other tables have the file's types. ``invalid`` are the
    rows among them that have other columns.
    """

    numbers: Sequence[int]
    columns: list[Any]
    invalid: Sequence[InvalidCells] = ()
    as_text: Callable[[], ColumnBatch] | None = None


@dataclass(frozen=True)
class Table:
    """A table: the names of its columns, None where the file gives none, and its first rows as text.

    ``sample`` has rows of cells, None for what is null. ``types`` are those of pyarrow, None for text. ``decimal``
    and ``thousands`` are the signs in the numbers of text. ``read_as`` asks for types of columns, by their places:
    where all values of a batch are of these types its columns are, and the others are null.
    """

    name: str
    stem: str
    names: tuple[str, ...] | None
    sample: list[list[str | None]]
    batches: Iterator[ColumnBatch]
    types: tuple[Any, ...] | None = None
    decimal: str = "."
    thousands: str = ""
    read_as: Callable[[Mapping[int, Any]], None] = lambda _: None

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.names) if self.names is not None else max(map(len, self.sample), default=0)
