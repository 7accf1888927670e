"""What a format of an export is: a writer of one file, and for folders the file that each row belongs to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO, NamedTuple, TypeAlias

from tapedeck_deck.cli.exports.batch import Batch
from tapedeck_deck.cli.exports.kinds import ExportColumn, ExportKind, Row
from tapedeck_deck.cli.exports.selection import ExportSelection

PRICES = ("open", "high", "low", "close", "volume")


class RowWriter(ABC):
    """Writes rows to a stream, which it leaves open."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Write some rows, at least one."""

    @abstractmethod
    def close(self) -> None:
        """Write what ends a file."""


OpenWriter: TypeAlias = Callable[[BinaryIO, Sequence[ExportColumn]], RowWriter]


class FolderLayout(NamedTuple):
    """``key`` tells the rows of one file, which follow one another; ``path`` is that of the file of such a row.

    ``kept`` are the columns in the files.
    """

    key: Callable[[Row], Hashable]
    path: Callable[[Row], PurePath]
    kept: tuple[ExportColumn, ...]


def all_columns(kind: ExportKind, _selection: ExportSelection) -> tuple[ExportColumn, ...]:
    """Every column of the kind."""
    return kind.columns


def bar_columns(kind: ExportKind, _selection: ExportSelection) -> tuple[ExportColumn, ...]:
    """The series, time, prices and volume of bars."""
    return kind.columns_named(("exchange", "symbol", "interval", "ts", *PRICES))


@dataclass(frozen=True)
class ExportFormat:
    """``columns`` are those that are read; ``layout`` is that of a format of folders. ``of_bars``: it has bars alone.

    ``one_series``: its files do not say of which series their rows are.
    """

    name: str
    open_writer: OpenWriter
    suffixes: tuple[str, ...] = ()
    columns: Callable[[ExportKind, ExportSelection], tuple[ExportColumn, ...]] = all_columns
    layout: Callable[[Sequence[ExportColumn]], FolderLayout] | None = None
    binary: bool = True
    of_bars: bool = False
    one_series: bool = False
