"""Rows of files, one after the other; a broken row is handed aside and reading goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from tapedeck_common.files.binance import trade_parser
from tapedeck_common.files.parquet import parquet_bars, parquet_trades
from tapedeck_common.files.source import BadRow, Lines, SourceFile, read_lines
from tapedeck_common.files.table import csv_parser, csv_trade_parser, lean_parser
from tapedeck_common.market import Bar, Trade, bar_problem, trade_problem
from tapedeck_crds.base import Files

Event = TypeVar("Event", Bar, Trade)
OnBad: TypeAlias = Callable[[BadRow], None]


class Row(NamedTuple, Generic[Event]):
    """A sound bar or trade and where it stands (``name:line``)."""

    place: str
    event: Event


def read_bars(files: Files, file: SourceFile, on_bad: OnBad) -> Iterator[Row[Bar]]:
    """The bars of a file of format csv, parquet or lean-minute, as they stand. Raises BadFiles."""
    if files.format == "parquet":
        yield from _parquet_rows(file, parquet_bars(files, file), bar_problem, on_bad)
        return
    lines = read_lines(file)
    parser = csv_parser if files.format == "csv" else lean_parser
    yield from _rows(file, lines, parser(files, file, lines), bar_problem, on_bad)


def read_trades(files: Files, file: SourceFile, on_bad: OnBad) -> Iterator[Row[Trade]]:
    """The trades of a file of a format that holds them, as they stand. Raises BadFiles."""
    if files.format == "parquet-trades":
        return _parquet_rows(file, parquet_trades(files, file), trade_problem, on_bad)
    lines = read_lines(file)
    parser = csv_trade_parser(files, file, lines) if files.format == "csv-trades" else trade_parser(files, file)
    return _rows(file, lines, parser, trade_problem, on_bad)


def _parquet_rows(
    file: SourceFile,
    rows: Iterator[tuple[int, Event | str]],
    problem_of: Callable[[Event], str | None],
    on_bad: OnBad,
) -> Iterator[Row[Event]]:
    for number, found in rows:
        place = f"{file.name}:{number}"
        if isinstance(found, str):
            on_bad(BadRow(place, found, found))
        elif problem := problem_of(found):
            on_bad(BadRow(place, problem, str(found)))
        else:
            yield Row(place, found)


def _rows(
    file: SourceFile,
    lines: Lines,
    parse: Callable[[str], Event],
    problem_of: Callable[[Event], str | None],
    on_bad: OnBad,
) -> Iterator[Row[Event]]:
    for number, text in lines:
        place = f"{file.name}:{number}"
        try:
            event = parse(text)
        except ValueError as error:
            on_bad(BadRow(place, str(error), text))
            continue
        if problem := problem_of(event):
            on_bad(BadRow(place, problem, text))
        else:
            yield Row(place, event)
