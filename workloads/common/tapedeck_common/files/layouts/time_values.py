"""Which column has times, and how they are written: by the first rows of a table."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.layouts.reading import TimeReading
from tapedeck_common.files.layouts.time_text import EXAMPLES, FORMATS, date_orders, format_parser, parser
from tapedeck_common.files.tables.table import Table
from tapedeck_crds.files import Files
from tapedeck_crds.text import excerpt

_CLOCK = re.compile(r"\d{1,2}:?\d{2}(:?\d{2}(\.\d{1,9})?)?( ?[AaPp][Mm])?")
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+]?\d+)?")
_COMPACT = re.compile(r"(19|20)\d{6}")
YEAR_2000 = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())


def is_date(text: str) -> bool:
    """Whether a text is a date, in whatever order, or one with a time."""
    return not _is_epoch_number(text) and bool(date_orders([text]))


def is_clock(text: str) -> bool:
    """Whether a text is a time of day."""
    return _CLOCK.fullmatch(text) is not None


def is_time_column(table: Table, place: int) -> bool:
    """Whether the values of a column are times: of a type of time, recent as numbers, or text."""
    if table.types is not None:
        from pyarrow import types

        if types.is_timestamp(table.types[place]) or types.is_date(table.types[place]):
            return True
    cells = _cells(table, place)
    return bool(cells) and all(_is_recent(cell) or is_date(cell) for cell in cells)


def clock_reading(table: Table, place: int) -> bool:
    """Whether the values of a column are times of day."""
    cells = _cells(table, place)
    return bool(cells) and all(map(is_clock, cells))


def time_reading(table: Table, files: Files, columns: tuple[int, ...]) -> TimeReading:
    """How the times in these columns are written. Raises InvalidFiles where more than one way fits."""
    declared = files.time
    stamp = declared.stamp if declared else None
    if declared is not None and declared.format is not None:
        try:
            return TimeReading(columns, parse=format_parser(declared.format), stamp=stamp)
        except ValueError as error:
            raise InvalidFiles(str(error)) from None
    unit = declared.unit if declared else None
    cells = [" ".join(filter(None, parts)) for parts in zip(*(_every(table, place) for place in columns), strict=True)]
    texts = [cell for cell in cells if cell and not _is_epoch_number(cell)]
    if not texts:
        return TimeReading(columns, unit, stamp=stamp)
    orders = date_orders(texts)
    if orders == ["dmy", "mdy"]:  # a compact date, or a month's name, is a date in every order
        shown = " or ".join(f"{FORMATS[order]} (as {EXAMPLES[order][:10]})" for order in orders)
        raise InvalidFiles(
            f"{table.name}: time: got dates such as {excerpt(texts[0])}, which may be {shown}; declare the one that "
            "it is in time.format"
        )
    return TimeReading(columns, unit, parser(orders[0] if orders else "ymd"), stamp=stamp)


def _cells(table: Table, place: int) -> list[str]:
    return [cell for cell in _every(table, place) if cell]


def _every(table: Table, place: int) -> list[str | None]:
    return [row[place] for row in table.sample]


def _is_epoch_number(text: str) -> bool:
    """Whether a text is a number of a unit since 1970, not a compact date."""
    return _NUMBER.fullmatch(text) is not None and (_COMPACT.fullmatch(text) is None)


def _is_recent(text: str) -> bool:
    """Whether a number is a time from 2000 to the end of next year, in a unit."""
    if not _is_epoch_number(text):
        return False
    seconds, latest = float(text), time.time() + 2 * 366 * 86_400
    return any(YEAR_2000 * 10**power <= seconds < latest * 10**power for power in (0, 3, 6, 9))
