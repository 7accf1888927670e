"""Rows of files as bars and trades, in file order; invalid rows go to a callback and reading continues."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from tapedeck_common.files.bar_dates import bar_times
from tapedeck_common.files.binance import trade_parser
from tapedeck_common.files.content.unpacking import unpack
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import InvalidTrade
from tapedeck_common.files.layouts.conversion import Columns
from tapedeck_common.files.layouts.reading import Reading, Stamp, TimeReading
from tapedeck_common.files.layouts.recognition import TABLE, recognize
from tapedeck_common.files.layouts.records import FileSeries, RowReader, ValidBars
from tapedeck_common.files.lean_bars import lean_parser
from tapedeck_common.files.source_files import (
    READ_ERRORS,
    InvalidRow,
    Lines,
    SourceFile,
    open_file,
    read_error,
    read_lines,
)
from tapedeck_common.files.spacing import Spacing
from tapedeck_common.files.tables.open_table import open_table
from tapedeck_common.files.tables.table import Table
from tapedeck_common.files.timestamps import FileTimes, format_us
from tapedeck_common.market import Bar, Trade, bar_problem, trade_problem
from tapedeck_crds.base import format_ms
from tapedeck_crds.files import LEAN, MESSAGES, Files, Kind
from tapedeck_crds.intervals import BAR_LENGTHS, DAY_MS
from tapedeck_crds.session import Session

RecordT = TypeVar("RecordT", Bar, Trade)
# Rows of files without a header, by which files of these formats are told from what is no market data.
_SHAPES: dict[str, re.Pattern[str]] = {
    LEAN: re.compile(r"[-+0-9.,:eE ]*"),
    MESSAGES: re.compile(r'[^{]*\{.*"e" ?:.*'),
    TABLE: re.compile(r"(?!)"),
}
INVALID_MIN = 10
"""Invalid rows that any file may have."""
OnInvalid: TypeAlias = Callable[[InvalidRow], None]
_OF_DAYS = frozenset(interval for interval, length in BAR_LENGTHS.items() if length.ms >= DAY_MS)


class Row(NamedTuple, Generic[RecordT]):
    """A valid bar or trade, its time in microseconds UTC, and its place (``name:line``)."""

    us: int
    place: str
    record: RecordT


class _ParsedRow(NamedTuple, Generic[RecordT]):
    """A row's number in its file, the row itself, and what it was parsed to."""

    number: int
    row: object
    parsed: tuple[int, RecordT] | ValueError


def read_bars(
    files: Files, sources: Sequence[SourceFile], on_invalid: OnInvalid, session: Session | None = None
) -> Iterator[Row[Bar]]:
    """The bars of a symbol's files, in file order.

    ``session`` is that of the market: the dates of bars of a day or longer are in its zone.
    Raises InvalidFiles, at the latest after the last row: the rows before are to be used only if it does not.
    """
    symbol = Spacing(files.interval, f"{len(sources)} files")
    for file in sources:
        spacing, validity = Spacing(files.interval, file.name), _Validity(file.name)
        problem = partial(_bar_problem, spacing)
        if files.format == LEAN:
            lines = read_lines(file)
            rows = _text_rows(lines, lean_parser(files, file))
            yield from _valid_rows(files.format, file.name, rows, problem, on_invalid, validity)
        else:
            yield from _of_tables(
                files, file, "bars", problem, on_invalid, validity, session, partial(_add_block, spacing)
            )
        spacing.check()
        validity.check()
        symbol.include(spacing)
    symbol.check()


def read_trades(
    files: Files, sources: Sequence[SourceFile], on_invalid: OnInvalid, session: Session | None = None
) -> Iterator[Row[Trade]]:
    """As ``read_bars``, for files of trades."""
    for file in sources:
        validity = _Validity(file.name)
        if files.format == MESSAGES:
            times = FileTimes(file.name, _of_messages(files), session)
            rows = _text_rows(read_lines(file), trade_parser(files, file, times))
            yield from _valid_rows(files.format, file.name, rows, _trade_problem, on_invalid, validity)
            times.check()
        else:
            yield from _of_tables(files, file, "trades", _trade_problem, on_invalid, validity, session)
        validity.check()


def kind_of(files: Files, sources: Sequence[SourceFile]) -> Kind:
    """What the rows of files are, by the first table that they hold. Raises InvalidFiles and FilesUnavailable."""
    if files.format in (LEAN, MESSAGES):
        return "bars" if files.format == LEAN else "trades"
    if files.kind is not None:
        return files.kind
    for file in sources:
        with errors_of(file):
            for table in tables_of(files, file):
                return recognize(table, files, file.symbol).kind
    return "bars"


def tables_of(files: Files, file: SourceFile) -> Iterator[Table]:
    """The tables of a file, each to be read before the next."""
    with open_file(file) as raw:
        size = raw.seek(0, io.SEEK_END)
        raw.seek(0)
        for content in unpack(file.name, raw, size):
            yield open_table(content, files)


def _of_tables(
    files: Files,
    file: SourceFile,
    kind: Kind,
    problem_of: Callable[[int, RecordT], str | None],
    on_invalid: OnInvalid,
    validity: _Validity,
    session: Session | None,
    on_block: Callable[[ValidBars], None] = lambda _: None,
) -> Iterator[Row[RecordT]]:
    with errors_of(file):
        for table in tables_of(files, file):
            reading = recognize(table, files, file.symbol)
            if reading.kind != kind:
                raise InvalidFiles(f"{table.name}: holds {reading.kind}, expected {kind} as in the files before")
            reading, times = _stamped(table, reading, files, session)
            columns = Columns(reading, times, table.decimal, table.thousands)
            reader = RowReader(table, reading, columns, FileSeries(files.exchange, file.symbol, files.interval))
            format_ = "" if reading.confirmed else TABLE
            for block in reader.blocks():
                if isinstance(block, ValidBars):
                    on_block(block)
                    validity.valid += len(block.bars)
                    places = (f"{table.name}:{number}" for number in block.numbers)
                    yield from map(Row, block.us.tolist(), places, block.bars)
                else:
                    rows = (_ParsedRow(each.number, each.text, each.parsed) for each in block)
                    yield from _valid_rows(format_, table.name, rows, problem_of, on_invalid, validity)
            times.check()


def _stamped(table: Table, reading: Reading, files: Files, session: Session | None) -> tuple[Reading, FileTimes]:
    """The reading, which tells a time of a bar's last millisecond from one of its open, and its times."""
    if reading.kind == "trades":
        return reading, FileTimes(table.name, reading.time, session)
    if reading.time.stamp is None:
        stamp: Stamp = "close" if _are_last_milliseconds(table, reading, files) else "open"
        reading = replace(reading, time=replace(reading.time, stamp=stamp))
    return reading, bar_times(table.name, reading.time, files.interval, session)


def _are_last_milliseconds(table: Table, reading: Reading, files: Files) -> bool:
    """Whether each of the first times is a millisecond before a bar's end, as Binance's close_time."""
    length, times = BAR_LENGTHS[files.interval], times_of(table, reading)
    return bool(times) and all(length.close_of(ts) - ts == 1 for ts in times)


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


def _of_messages(files: Files) -> TimeReading:
    return TimeReading((), None if files.time is None else files.time.unit)


def _text_rows(lines: Lines, parse: Callable[[str], tuple[int, RecordT]]) -> Iterator[_ParsedRow[RecordT]]:
    for number, text in lines:
        try:
            yield _ParsedRow(number, text, parse(text))
        except ValueError as error:
            yield _ParsedRow(number, text, error)


def _valid_rows(
    format_: str,
    name: str,
    rows: Iterator[_ParsedRow[RecordT]],
    problem_of: Callable[[int, RecordT], str | None],
    on_invalid: OnInvalid,
    validity: _Validity,
) -> Iterator[Row[RecordT]]:
    for number, row, parsed in rows:
        place = f"{name}:{number}"
        problem = str(parsed) if isinstance(parsed, ValueError) else problem_of(*parsed)
        if problem is None:
            assert not isinstance(parsed, ValueError)
            validity.valid += 1
            yield Row(parsed[0], place, parsed[1])
            continue
        if not (validity.valid or _is_shown(format_, row)):
            problem, row = "expected a row of market data", ""
        validity.add_invalid(f"{place}: {problem}")
        on_invalid(InvalidRow(place, problem, str(row), _id_of(parsed)))


class _Validity:
    """Counts the rows of a file: one of which most are invalid is something else than it is read as."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.valid = 0
        self._invalid = 0
        self._first = ""

    def add_invalid(self, problem: str) -> None:
        self._first = self._first or problem
        self._invalid += 1

    def check(self) -> None:
        """Raises InvalidFiles where most rows are invalid."""
        if self._invalid > max(INVALID_MIN, self.valid):
            raise InvalidFiles(
                f"{self._name}: {self._invalid} of {self._invalid + self.valid} rows are invalid, expected few; the "
                f"first: {self._first}"
            )


def _id_of(parsed: tuple[int, RecordT] | ValueError) -> str:
    """A trade's id, where it could be read; empty for a bar."""
    if isinstance(parsed, ValueError):
        return parsed.id if isinstance(parsed, InvalidTrade) else ""
    return str(getattr(parsed[1], "id", ""))


def _is_shown(format_: str, row: object) -> bool:
    """Whether a message may quote a row: one of a file that is none of market data may be a secret."""
    shape = _SHAPES.get(format_)
    return shape is None or shape.fullmatch(str(row)) is not None


def _bar_problem(spacing: Spacing, us: int, bar: Bar) -> str | None:
    spacing.add(us // 1_000)
    if bar.ts % DAY_MS and bar.interval in _OF_DAYS:
        return (
            f"ts: got {format_ms(bar.ts)}, which is the open of no day in UTC, expected the date of a bar of "
            f"{bar.interval}; write it alone or with the market's offset, or set session in a Feed"
        )
    if bar.ts == us // 1_000 and us % 1_000:
        return f"ts: got {format_us(us)}, expected the open of a bar of {bar.interval}"
    return bar_problem(bar)


def _add_block(spacing: Spacing, block: ValidBars) -> None:
    spacing.add_all(block.us // 1_000)


def _trade_problem(_us: int, trade: Trade) -> str | None:
    return trade_problem(trade)
