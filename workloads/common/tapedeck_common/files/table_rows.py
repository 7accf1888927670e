"""The tables of files as rows of bars or trades."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic

from tapedeck_common.files.bar_dates import bar_times
from tapedeck_common.files.content.unpacking import unpack
from tapedeck_common.files.errors import InvalidFiles, NotMarketData
from tapedeck_common.files.layouts.conversion import Columns
from tapedeck_common.files.layouts.reading import Reading, Stamp
from tapedeck_common.files.layouts.recognition import recognize
from tapedeck_common.files.layouts.records import RowReader
from tapedeck_common.files.layouts.series_names import table_symbol
from tapedeck_common.files.row_checks import ParsedRow, RecordT, Row, RowChecks
from tapedeck_common.files.source_files import READ_ERRORS, SourceFile, open_file, read_error, size_of
from tapedeck_common.files.source_rows import FileSeries, ValidBlock
from tapedeck_common.files.tables.open_table import open_table
from tapedeck_common.files.tables.table import Table
from tapedeck_common.files.timestamps import FileTimes
from tapedeck_crds.files import Files, Kind
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import Session

_NOTHING = re.compile(r"(?!)")
"""The shape of rows that no message quotes."""
SKIPPED_MAX = 1_000
"""Members that are named."""


@dataclass
class ReadingNotes:
    """What is noticed of files beside their rows: rows without values, and the layouts of each symbol's files.

    ``layouts`` has the first file of each layout, by symbol; the symbol is empty where rows say it. ``skipped`` has the
    members of archives that hold no market data, by the reason.
    """

    empty: int = 0
    layouts: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: dict[str, None] = field(default_factory=dict)

    def skip(self, error: NotMarketData) -> None:
        """Remember a member of an archive that is left out."""
        if len(self.skipped) < SKIPPED_MAX:
            self.skipped[str(error)] = None

    def mixed(self) -> dict[str, dict[str, str]]:
        """The symbols whose files are in different layouts."""
        return {symbol: files for symbol, files in self.layouts.items() if len(files) > 1}


@dataclass(frozen=True)
class TableRows(Generic[RecordT]):
    """Reads the tables of files of one kind."""

    files: Files
    kind: Kind
    session: Session | None
    notes: ReadingNotes

    def rows(self, file: SourceFile, checks: RowChecks[RecordT]) -> Iterator[Row[RecordT] | ValidBlock]:
        """The valid rows of a file. Raises InvalidFiles and FilesUnavailable."""
        with errors_of(file):
            for table, reading in tables_of(self.files, file, file.symbol, self.notes.skip):
                yield from self._of_table(file, table, reading, checks)

    def _of_table(
        self, file: SourceFile, table: Table, recognized: Reading, checks: RowChecks[RecordT]
    ) -> Iterator[Row[RecordT] | ValidBlock]:
        reading, times = self._read(table, recognized)
        symbol = table_symbol(table, reading, file.symbol)
        columns = Columns(reading, times, table.decimal, table.thousands)
        reader = RowReader(table, reading, columns, FileSeries(self.files.exchange, symbol, self.files.interval))
        for block in reader.blocks():
            if isinstance(block, ValidBlock):
                yield checks.block(block)
            else:
                rows = (ParsedRow(each.number, each.text, each.parsed) for each in block)
                yield from checks.rows(table.name, rows, None if reading.confirmed else _NOTHING)
        times.check()
        self.notes.empty += reader.empty
        self.notes.layouts.setdefault(symbol, {}).setdefault(reading.layout, file.name)

    def _read(self, table: Table, reading: Reading) -> tuple[Reading, FileTimes]:
        """The reading, which tells a time of a bar's last millisecond from one of its open, and its times."""
        if reading.kind != self.kind:
            raise InvalidFiles(f"{table.name}: holds {reading.kind}, expected {self.kind} as in the files before")
        if reading.kind == "trades":
            return reading, FileTimes(table.name, reading.time, self.session)
        if reading.time.stamp is None:
            stamp: Stamp = "close" if _are_last_milliseconds(table, reading, self.files) else "open"
            reading = replace(reading, time=replace(reading.time, stamp=stamp))
        return reading, bar_times(table.name, reading.time, self.files.interval, self.session)


def tables_of(
    files: Files, file: SourceFile, symbol: str, on_other: Callable[[NotMarketData], None]
) -> Iterator[tuple[Table, Reading]]:
    """The tables of a file of a symbol and how they are read, each to be read before the next.

    What an archive holds beside market data goes to ``on_other``. Raises NotMarketData where it holds nothing else.
    """
    first: NotMarketData | None = None
    is_data = False
    with open_file(file) as raw:
        for content in unpack(file.name, raw, size_of(raw)):
            try:
                table = open_table(content, files)
                reading = recognize(table, files, symbol)
            except NotMarketData as error:
                first = first or error
                on_other(error)
                continue
            is_data = True
            yield table, reading
    if first is not None and not is_data:
        raise first


def times_of(table: Table, reading: Reading) -> list[int]:
    """The times of a table's first rows, milliseconds UTC, without those that are none."""
    times, found = FileTimes(table.name, reading.time), []
    for row in table.sample:
        text = " ".join(filter(None, (row[place] for place in reading.time.columns)))
        try:
            found.append(times.of_text("ts", text)[1])
        except ValueError:
            continue
    return found


@contextmanager
def errors_of(file: SourceFile) -> Iterator[None]:
    """Raise the errors of the libraries that read a file as InvalidFiles and FilesUnavailable."""
    import pyarrow as pa

    try:
        yield
    except (*READ_ERRORS, pa.ArrowException) as error:
        raise read_error(file, error) from error


def _are_last_milliseconds(table: Table, reading: Reading, files: Files) -> bool:
    """Whether each of the first times is a millisecond before a bar's end, as Binance's close_time."""
    length, times = BAR_LENGTHS[files.interval], times_of(table, reading)
    return bool(times) and all(length.close_of(ts) - ts == 1 for ts in times)
