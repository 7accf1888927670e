"""The dialect of a text table: its delimiter, decimal sign and comment sign, and the line with which its rows begin."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import mode

DELIMITERS = ",;\t|"
COMMENTS = ("#", "//", "%")
REGULAR = 0.8
"""The share of the rows that have the same number of cells."""
PREAMBLE_MAX = 50
"""Lines before the header or the first row."""
_NUMBER = re.compile(r"[-+]?(\d[\d.,' ]*)?\d([eE][-+]?\d+)?")
_COMMA = re.compile(r"-?\d+,\d+")
_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+")
_POINT = re.compile(r"-?\d+\.\d+([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Dialect:
    """How lines are divided. ``header`` is None where it is to be found, else whether the table has one."""

    delimiter: str = ""
    decimal: str = ""
    thousands: str = ""
    comment: str = ""
    header: bool | None = None
    skip_rows: int | None = None


@dataclass(frozen=True)
class TableStart:
    """Where a table begins: the names of its columns, the first line of its rows (from 0), and its columns."""

    names: tuple[str, ...] | None
    line: int
    width: int


def completed(given: Dialect, lines: Sequence[str]) -> Dialect:
    """The dialect of a text that begins with these lines; what is given is kept."""
    comment = given.comment or next((sign for sign in COMMENTS if any(map(_begins_with(sign), lines))), "#")
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith(comment)]
    delimiter = given.delimiter or _delimiter(rows)
    decimal = given.decimal or ("," if given.thousands == "." else "") or _decimal(rows, delimiter)
    return replace(given, delimiter=delimiter, decimal=decimal, comment=comment)


def grouped_number(given: Dialect, dialect: Dialect, rows: Sequence[str]) -> str | None:
    """A number such as 1,234, which may be 1.234 or 1234; None where the declaration or another number decides."""
    if given.decimal or given.thousands or dialect.decimal != ",":
        return None
    cells = [cell for line in rows for cell in cells_of(line, dialect) if "," in cell and is_number(cell)]
    return cells[0] if cells and all(map(_GROUPED.fullmatch, cells)) else None


def cells_of(line: str, dialect: Dialect) -> list[str]:
    """The cells of a line, without blanks around them."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(dialect.delimiter)]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=dialect.delimiter))]
    except csv.Error:  # such as a carriage return within the line
        return [cell.strip() for cell in line.split(dialect.delimiter)]


def start_of(lines: Sequence[str], dialect: Dialect, is_header: Callable[[Sequence[str]], bool]) -> TableStart:
    """Where the table begins in a text. ``is_header`` tells a line of names that readers know.

    A header is the first line that is one, before the first row; else the last line of names before it, where it has
    as many cells as the rows.
    """
    first = dialect.skip_rows or 0
    header: tuple[str, ...] | None = None
    for number in range(first, min(len(lines), first + PREAMBLE_MAX)):
        line = lines[number]
        if not line.strip() or line.lstrip().startswith(dialect.comment):
            continue
        cells = cells_of(line, dialect)
        if dialect.header or (dialect.header is None and is_header(cells)):
            return TableStart(tuple(cells), number + 1, len(cells))
        if _is_row(cells):
            names = header if header is not None and len(header) == len(cells) else None
            return TableStart(names, number, len(cells))
        header = tuple(cells)
    if header is not None and len(header) > 1:
        return TableStart(header, len(lines), len(header))
    return TableStart(None, first, _width(lines[first:], dialect))


def is_markdown(lines: Sequence[str]) -> bool:
    """Whether a text is prose in Markdown, which may have a table or an example of market data in it."""
    return any(line.lstrip().startswith("```") or _is_rule(line) for line in lines)


def is_number(cell: str) -> bool:
    """Whether a cell is a number, in any notation."""
    return _NUMBER.fullmatch(cell) is not None


def _begins_with(sign: str) -> Callable[[str], bool]:
    return lambda line: line.lstrip().startswith(sign)


def _is_rule(line: str) -> bool:
    """Whether a line is that below the header of a table: |---|---|."""
    return "---" in line and "|" in line and set(line.strip()) <= set("|-: ")


def _is_row(cells: Sequence[str]) -> bool:
    return sum(map(is_number, cells)) >= 2


def _width(lines: Sequence[str], dialect: Dialect) -> int:
    return mode([len(cells_of(line, dialect)) for line in lines if line.strip()] or [0])


def _delimiter(rows: Sequence[str]) -> str:
    """The sign that divides most rows into the same number of cells, at least two; a comma where none does."""

    def agreement(sign: str) -> tuple[float, int]:
        counts = [line.count(sign) for line in rows]
        usual = mode([count for count in counts if count] or [0])
        return (sum(count == usual for count in counts) / len(counts) if usual else 0.0, usual)

    if not rows:
        return ","
    ranked = sorted(DELIMITERS, key=agreement, reverse=True)
    for sign in ranked:  # a comma may be the decimal sign of cells that another sign divides
        if sign != "," and agreement(sign)[0] >= REGULAR and _decimal(rows, sign) == ",":
            return sign
    return ranked[0] if agreement(ranked[0])[0] > 0 else ","


def _decimal(rows: Sequence[str], delimiter: str) -> str:
    """A comma where cells have one and none has a point."""
    if delimiter == ",":
        return "."
    cells = [cell.strip() for line in rows for cell in line.split(delimiter)]
    return "," if any(map(_COMMA.fullmatch, cells)) and not any(map(_POINT.fullmatch, cells)) else "."
