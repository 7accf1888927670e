"""Rows of a series on their way to the log: one by one, or valid ones of one file as columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from tapedeck_common.files.timestamps import Int64s

if TYPE_CHECKING:
    import numpy as np

Floats: TypeAlias = "np.typing.NDArray[np.float64]"


class SourceRow(NamedTuple):
    """One row of a series: its time in microseconds UTC, a trade's id, its file and line, and its encoded record."""

    us: int
    id: str
    place: str
    value: bytes


class FileSeries(NamedTuple):
    """What the rows of a file are of; the symbol is empty where each row says its own."""

    exchange: str
    symbol: str
    interval: str


@dataclass(frozen=True, eq=False)
class ValidBlock(ABC):
    """Valid rows of one file and one symbol, at least one: their numbers in the file, of shape (n,), and columns of a
    last axis as long.
    """

    series: FileSeries
    name: str
    numbers: Int64s

    @property
    @abstractmethod
    def us(self) -> Int64s:
        """The times in microseconds UTC, shape (n,)."""

    @abstractmethod
    def rises(self) -> bool:
        """Whether the rows are in order and none can be another's repeat."""

    @abstractmethod
    def ids(self) -> Iterable[str]:
        """The ids of trades, empty texts of bars."""

    @abstractmethod
    def values(self) -> list[bytes]:
        """The encoded records."""

    def __len__(self) -> int:
        return len(self.numbers)

    def columns(self) -> list[Any]:
        """The arrays, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)[2:]]

    def places(self) -> Iterator[str]:
        """The place of each (``name:line``)."""
        return (f"{self.name}:{number}" for number in self.numbers.tolist())

    def rows(self) -> Iterator[SourceRow]:
        """Each by itself."""
        return map(SourceRow, self.us.tolist(), self.ids(), self.places(), self.values())

    def part(self, chosen: slice | Int64s) -> Self:
        """Those at these places, in this order."""
        return replace(self, **{field.name: getattr(self, field.name)[..., chosen] for field in fields(self)[2:]})


SourceItem: TypeAlias = SourceRow | ValidBlock
"""Every function that takes rows takes blocks of them, too: to the same effect as their rows one by one."""


def single_rows(items: Iterable[SourceItem]) -> Iterator[SourceRow]:
    """Every row by itself."""
    for item in items:
        if isinstance(item, ValidBlock):
            yield from item.rows()
        else:
            yield item


Part: TypeAlias = list[SourceRow] | ValidBlock
"""A block, or some rows together."""


def in_parts(items: Iterable[SourceItem], rows_max: int) -> Iterator[Part]:
    """The same in parts of at most ``rows_max`` rows, beside blocks."""
    rows: list[SourceRow] = []
    for item in items:
        if isinstance(item, ValidBlock):
            if rows:
                yield rows
                rows = []
            yield item
            continue
        rows.append(item)
        if len(rows) == rows_max:
            yield rows
            rows = []
    if rows:
        yield rows


def items_of(part: Part) -> Sequence[SourceItem]:
    """What a part is made of."""
    return (part,) if isinstance(part, ValidBlock) else part


def as_numbers(numbers: Sequence[int]) -> Int64s:
    """Numbers of rows as an array."""
    import numpy as np

    if isinstance(numbers, range):
        return np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64)
    return np.array(numbers, np.int64)
