"""Rows of files as bars and trades, in file order; invalid rows go to a callback and reading continues."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from tapedeck_common.files.bar_dates import bar_times
from tapedeck_common.files.binance import trade_parser
from tapedeck_common.files.field_parsing import InvalidTrade
from tapedeck_common.files.lean_bars import lean_parser
from tapedeck_common.files.parquet import Parsed, parquet_bars, parquet_trades
from tapedeck_common.files.source_files import InvalidRow, Lines, SourceFile, read_lines
from tapedeck_common.files.spacing import Spacing
from tapedeck_common.files.text_tables import csv_parser, csv_trade_parser
from tapedeck_common.files.timestamps import FileTimes, format_us
from tapedeck_common.market import Bar, Trade, bar_problem, trade_problem
from tapedeck_crds.base import FileFormat, Files, format_ms
from tapedeck_crds.intervals import BAR_LENGTHS, DAY_MS
from tapedeck_crds.session import Session

RecordT = TypeVar("RecordT", Bar, Trade)
# Rows of files without a header, by which files of the other formats are told from what is no market data.
_SHAPES: dict[FileFormat, re.Pattern[str]] = {
    "lean": re.compile(r"[-+0-9.,:eE ]*"),
    "binance-trades": re.compile(r'[^{]*\{.*"e" ?:.*'),
}
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
    parsed: Parsed[RecordT]


def read_bars(
    files: Files, sources: Sequence[SourceFile], on_invalid: OnInvalid, session: Session | None = None
) -> Iterator[Row[Bar]]:
    """The bars of a symbol's files of format csv, parquet or lean, in file order.

    ``session`` is that of the market: the dates of bars of a day or longer are in its zone.
    Raises InvalidFiles, at the latest after the last row: the rows before are to be used only if it does not.
    """
    symbol = Spacing(files.interval, f"{len(sources)} files")
    for file in sources:
        spacing = Spacing(files.interval, file.name)
        times = bar_times(files, file, session)
        rows = _bars(files, file, times)
        yield from _valid_rows(files.format, file, rows, partial(_bar_problem, spacing), on_invalid)
        times.check()
        spacing.check()
        symbol.include(spacing)
    symbol.check()


def read_trades(
    files: Files, sources: Sequence[SourceFile], on_invalid: OnInvalid, session: Session | None = None
) -> Iterator[Row[Trade]]:
    """As ``read_bars``, for files of a format of trades."""
    for file in sources:
        times = FileTimes(files, file, session)
        yield from _valid_rows(files.format, file, _trades(files, file, times), _trade_problem, on_invalid)
        times.check()


def _bars(files: Files, file: SourceFile, times: FileTimes) -> Iterator[_ParsedRow[Bar]]:
    if files.format == "parquet":
        return _parquet_rows(parquet_bars(files, file, times))
    lines = read_lines(file)
    if files.format == "csv":
        return _text_rows(lines, csv_parser(files, file, lines, times))
    return _text_rows(lines, lean_parser(files, file))


def _trades(files: Files, file: SourceFile, times: FileTimes) -> Iterator[_ParsedRow[Trade]]:
    if files.format == "parquet-trades":
        return _parquet_rows(parquet_trades(files, file, times))
    lines = read_lines(file)
    if files.format == "csv-trades":
        return _text_rows(lines, csv_trade_parser(files, file, lines, times))
    return _text_rows(lines, trade_parser(files, file, times))


def _parquet_rows(rows: Iterator[tuple[int, Parsed[RecordT]]]) -> Iterator[_ParsedRow[RecordT]]:
    for number, parsed in rows:
        yield _ParsedRow(number, parsed if isinstance(parsed, ValueError) else parsed[1], parsed)


def _text_rows(lines: Lines, parse: Callable[[str], tuple[int, RecordT]]) -> Iterator[_ParsedRow[RecordT]]:
    for number, text in lines:
        try:
            yield _ParsedRow(number, text, parse(text))
        except ValueError as error:
            yield _ParsedRow(number, text, error)


def _valid_rows(
    format_: FileFormat,
    file: SourceFile,
    rows: Iterator[_ParsedRow[RecordT]],
    problem_of: Callable[[int, RecordT], str | None],
    on_invalid: OnInvalid,
) -> Iterator[Row[RecordT]]:
    is_market_data = False
    for number, row, parsed in rows:
        place = f"{file.name}:{number}"
        problem = str(parsed) if isinstance(parsed, ValueError) else problem_of(*parsed)
        if problem is None:
            assert not isinstance(parsed, ValueError)
            is_market_data = True
            yield Row(parsed[0], place, parsed[1])
        elif is_market_data or _is_shown(format_, row):
            on_invalid(InvalidRow(place, problem, str(row), _id_of(parsed)))
        else:
            on_invalid(InvalidRow(place, f"expected a row of the format {format_}", ""))


def _id_of(parsed: Parsed[RecordT]) -> str:
    """A trade's id, where it could be read; empty for a bar."""
    if isinstance(parsed, ValueError):
        return parsed.id if isinstance(parsed, InvalidTrade) else ""
    return str(getattr(parsed[1], "id", ""))


def _is_shown(format_: FileFormat, row: object) -> bool:
    """Whether a message may quote a row: one of a file that is none of market data may be a secret."""
    shape = _SHAPES.get(format_)
    return shape is None or not isinstance(row, str) or shape.fullmatch(row) is not None


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


def _trade_problem(_us: int, trade: Trade) -> str | None:
    return trade_problem(trade)
