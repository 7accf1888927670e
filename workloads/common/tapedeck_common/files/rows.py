"""Rows of files as bars and trades, in file order; invalid rows go to a callback and reading continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from tapedeck_common.files.binance import trade_parser
from tapedeck_common.files.parquet import parquet_bars, parquet_trades
from tapedeck_common.files.source_files import InvalidRow, Lines, SourceFile, read_lines
from tapedeck_common.files.text_tables import csv_parser, csv_trade_parser, lean_parser
from tapedeck_common.market import Bar, Trade, TradeKey, bar_problem, trade_problem
from tapedeck_crds.base import Files

RecordT = TypeVar("RecordT", Bar, Trade)
RowKey: TypeAlias = TradeKey
"""The order of the rows of one series, which also identifies a row: ``trade_key`` of a trade, ``bar_key`` of a bar."""
OnInvalid: TypeAlias = Callable[[InvalidRow], None]


class Row(NamedTuple, Generic[RecordT]):
    """A valid bar or trade and its place (``name:line``)."""

    place: str
    record: RecordT


def bar_key(bar: Bar) -> RowKey:
    """The key of a bar: its open time."""
    return (bar.ts, 0, "")


def format_key(key: RowKey) -> str:
    """The key as text for a message."""
    ts, _, name = key
    return f"{ts} (id {name})" if name else str(ts)


def read_bars(files: Files, file: SourceFile, on_invalid: OnInvalid) -> Iterator[Row[Bar]]:
    """The bars of a file of format csv, parquet or lean-minute, in file order. Raises InvalidFiles."""
    if files.format == "parquet":
        yield from _parsed_rows(file, parquet_bars(files, file), bar_problem, on_invalid)
        return
    lines = read_lines(file)
    parser = csv_parser if files.format == "csv" else lean_parser
    yield from _rows(file, lines, parser(files, file, lines), bar_problem, on_invalid)


def read_trades(files: Files, file: SourceFile, on_invalid: OnInvalid) -> Iterator[Row[Trade]]:
    """The trades of a file of a format of trades, in file order. Raises InvalidFiles."""
    if files.format == "parquet-trades":
        return _parsed_rows(file, parquet_trades(files, file), trade_problem, on_invalid)
    lines = read_lines(file)
    parser = csv_trade_parser(files, file, lines) if files.format == "csv-trades" else trade_parser(files, file)
    return _rows(file, lines, parser, trade_problem, on_invalid)


def _parsed_rows(
    file: SourceFile,
    rows: Iterator[tuple[int, RecordT | str]],
    problem_of: Callable[[RecordT], str | None],
    on_invalid: OnInvalid,
) -> Iterator[Row[RecordT]]:
    for number, record in rows:
        place = f"{file.name}:{number}"
        if isinstance(record, str):
            on_invalid(InvalidRow(place, record, record))
        elif problem := problem_of(record):
            on_invalid(InvalidRow(place, problem, str(record)))
        else:
            yield Row(place, record)


def _rows(
    file: SourceFile,
    lines: Lines,
    parse: Callable[[str], RecordT],
    problem_of: Callable[[RecordT], str | None],
    on_invalid: OnInvalid,
) -> Iterator[Row[RecordT]]:
    for number, text in lines:
        place = f"{file.name}:{number}"
        try:
            record = parse(text)
        except ValueError as error:
            on_invalid(InvalidRow(place, str(error), text))
            continue
        if problem := problem_of(record):
            on_invalid(InvalidRow(place, problem, text))
        else:
            yield Row(place, record)
