"""Bars and trades in lines of text: CSV with a header line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Sequence

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import InvalidTrade, number, side
from tapedeck_common.files.source_files import Lines, SourceFile
from tapedeck_common.files.timestamps import FileTimes
from tapedeck_common.market import Bar, Trade
from tapedeck_crds.base import Files
from tapedeck_crds.text import excerpt

COLUMNS = ("ts", "open", "high", "low", "close", "volume")
COLUMNS_SHOWN = 12
TRADE_COLUMNS = ("ts", "id", "price", "amount", "side")


def csv_parser(files: Files, file: SourceFile, lines: Lines, times: FileTimes) -> Callable[[str], tuple[int, Bar]]:
    """A parser of the rows of a CSV file; reads the header from ``lines``. Raises InvalidFiles.

    It returns the time in microseconds and the bar. The columns may have any order; others are ignored.
    """
    found = _header(file, lines, COLUMNS)
    places = [found.index(name) for name in COLUMNS]
    length = found.index("interval") if "interval" in found else None

    def parse(text: str) -> tuple[int, Bar]:
        cells = _cells(text, found)
        if length is not None and (stated := cells[length].strip(' "')) != files.interval:
            raise ValueError(f"interval: got {excerpt(stated)}, expected only {files.interval}")
        time, *values = (cells[place].strip() for place in places)
        us, ts = times.of_text("ts", time)
        return us, _bar(files, file, ts, values)

    return parse


def csv_trade_parser(
    files: Files, file: SourceFile, lines: Lines, times: FileTimes
) -> Callable[[str], tuple[int, Trade]]:
    """As ``csv_parser``, for trades."""
    found = _header(file, lines, TRADE_COLUMNS)
    places = [found.index(name) for name in TRADE_COLUMNS]

    def parse(text: str) -> tuple[int, Trade]:
        cells = _cells(text, found)
        time, id, price, amount, taker = (cells[place].strip() for place in places)
        try:
            us, ts = times.of_text("ts", time)
            values = number("price", price), number("amount", amount), side("side", taker)
        except ValueError as error:
            raise InvalidTrade(str(error), id) from None
        return us, Trade(files.exchange, file.symbol, ts, id, *values)

    return parse


def _bar(files: Files, file: SourceFile, ts: int, values: list[str]) -> Bar:
    open_, high, low, close, volume = map(number, COLUMNS[1:], values)
    return Bar(files.exchange, file.symbol, files.interval, ts, open_, high, low, close, volume)


def _header(file: SourceFile, lines: Lines, required: tuple[str, ...]) -> list[str]:
    _, header = next(lines, (0, ""))
    if not header:
        raise InvalidFiles(f"{file.name}: is empty, expected a header line with {', '.join(required)}")
    found = [name.strip(' "').lower() for name in header.split(",")]
    missing = [name for name in required if name not in found]
    if missing:
        raise InvalidFiles(f"{file.name}: header {lacks(missing, found, required)}, or add a header line")
    return found


def lacks(missing: Collection[str], found: Sequence[str], expected: Sequence[str]) -> str:
    """What is wrong with the columns of a table, and how to go on.

    It shows the names of the columns only where one is expected: the others may be no market data.
    """
    advice = "or number the rows of all its files where trades have no id" if "id" in missing else "or add one"
    is_market_data = any(name.lower() in expected for name in found)
    shown = ", ".join(map(excerpt, found[:COLUMNS_SHOWN])) if is_market_data else f"{len(found)} others"
    return (
        f"lacks {', '.join(missing)}; found {shown}; expected {', '.join(expected)} in any order. "
        f"Rename the column that has it, {advice}"
    )


def _cells(text: str, header: list[str]) -> list[str]:
    cells = _split(text)
    if len(cells) != len(header):
        raise ValueError(f"columns: got {len(cells)}, expected {len(header)} as in the header")
    return cells


def _split(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise ValueError(f"quotes: {error}, expected a row of CSV") from None
