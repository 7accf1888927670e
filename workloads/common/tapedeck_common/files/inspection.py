"""What files hold, before they are imported: how each is read, what is assumed, and its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.layouts.file_names import name_parts, unified
from tapedeck_common.files.layouts.presets import preset
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.layouts.recognition import TABLE, recognize
from tapedeck_common.files.rows import errors_of, read_bars, read_trades, tables_of, times_of
from tapedeck_common.files.source_files import InvalidRow, SourceFile
from tapedeck_common.files.tables.table import Table
from tapedeck_crds.files import Files, Kind
from tapedeck_crds.intervals import BAR_LENGTHS, Interval

_SHORTEST_MONTH, _LONGEST_MONTH = 28 * 86_400_000, 31 * 86_400_000
REASONS_MAX = 20


@dataclass(frozen=True)
class Recognized:
    """How a file is read. ``symbol``, ``interval`` and ``exchange`` are None where nothing says them.

    ``columns`` are the names, or numbers from 1, of the fields' columns; ``assumed`` is what the file does not say.
    """

    layout: str
    kind: Kind
    exchange: str | None
    symbol: str | None
    interval: Interval | None
    unit: str
    zone: str
    columns: dict[str, str | int]
    assumed: tuple[str, ...]


@dataclass
class Refused:
    """The rows of a file that are refused for one reason; ``line`` is that of the first."""

    reason: str
    line: int
    count: int


@dataclass
class Counted:
    """The rows of a file: how many are valid, their first and last time, milliseconds UTC, and missing bars."""

    rows: int = 0
    first: int | None = None
    last: int | None = None
    holes: int = 0
    refused: list[Refused] = field(default_factory=list)


def recognize_file(files: Files, file: SourceFile, symbol: str | None) -> Recognized:
    """How a file is read, by its first table. ``symbol`` is the declared one. Raises InvalidFiles, FilesUnavailable."""
    with errors_of(file):
        for table in tables_of(files, file):
            return _recognized(table, recognize(table, files, symbol or ""), symbol)
    raise InvalidFiles(f"{file.name}: holds no table, expected market data")


def count_rows(files: Files, kind: Kind, file: SourceFile, on_row: Callable[[], None] = lambda: None) -> Counted:
    """Read a file whole, as an import does. Raises InvalidFiles and FilesUnavailable."""
    found = Counted()
    reasons: dict[str, Refused] = {}

    def refuse(row: InvalidRow) -> None:
        line = int(row.place.rpartition(":")[2])
        if row.reason in reasons:
            reasons[row.reason].count += 1
        elif len(reasons) < REASONS_MAX:
            reasons[row.reason] = Refused(row.reason, line, 1)

    times: set[int] = set()
    rows = read_bars(files, [file], refuse) if kind == "bars" else read_trades(files, [file], refuse)
    for row in rows:
        found.rows += 1
        ts = row.record.ts
        found.first = ts if found.first is None else min(found.first, ts)
        found.last = ts if found.last is None else max(found.last, ts)
        if kind == "bars":
            times.add(ts)
        on_row()
    if found.first is not None and found.last is not None and kind == "bars":
        length = BAR_LENGTHS[files.interval]
        found.holes = length.number(found.last) - length.number(found.first) + 1 - len(times)
    found.refused = list(reasons.values())
    return found


def _recognized(table: Table, reading: Reading, declared: str | None) -> Recognized:
    parts = name_parts(table.stem)
    assumed = list(reading.assumed)
    symbol = declared or _column_symbol(table, reading) or parts.symbol
    if declared is None and symbol is not None and not (parts.sure or "symbol" in reading.columns):
        assumed.append(f"symbol is {symbol}, by the file's name")
    interval = _interval(table, reading) or parts.interval if reading.kind == "bars" else None
    known = BAR_LENGTHS.get(interval or "")
    unit, zone, has_offset = _time(table, reading)
    if not has_offset:
        assumed.append("times are in UTC")
    exchange = preset(reading.layout).exchange if reading.layout != TABLE else None
    return Recognized(
        reading.layout,
        reading.kind,
        exchange,
        symbol,
        None if known is None else cast(Interval, known.interval),
        unit,
        zone,
        _columns(table, reading),
        tuple(assumed),
    )


def _column_symbol(table: Table, reading: Reading) -> str | None:
    """The symbol of the rows, if they all have the same."""
    place = reading.columns.get("symbol")
    if place is None:
        return None
    found = {row[place] for row in table.sample if row[place]}
    if len(found) > 1:
        shown = ", ".join(sorted(map(str, found))[:3])
        raise InvalidFiles(f"{table.name}: symbol: got {shown}, expected one symbol a file; divide it by symbol")
    return unified(str(found.pop())) if found else None


def _interval(table: Table, reading: Reading) -> str | None:
    """The most common distance of the first times, if it is that of an interval."""
    times = times_of(table, reading)
    distances = Counter(abs(later - earlier) for earlier, later in pairwise(times) if later != earlier)
    if not distances:
        return None
    usual, _ = distances.most_common(1)[0]
    if _SHORTEST_MONTH <= usual <= _LONGEST_MONTH:
        return "1M"
    return next((name for name, length in BAR_LENGTHS.items() if length.ms == usual), None)


def _time(table: Table, reading: Reading) -> tuple[str, str, bool]:
    """Unit and zone of the times, as text, and whether the file or its layout says the zone."""
    place = reading.time.columns[0]
    if table.types is not None:
        zone = getattr(table.types[place], "tz", None)
        unit = str(getattr(table.types[place], "unit", "")) or "number"
        if str(table.types[place]).startswith("timestamp"):
            return unit, zone or "UTC", zone is not None
    zone = str(reading.time.zone) if reading.time.zone is not None else "UTC"
    cells = [str(row[place]) for row in table.sample if row[place]]
    if reading.time.parse is None:
        return reading.time.unit or _unit(cells), "UTC", True
    offset = (
        any(reading.time.parse(cell).tzinfo is not None for cell in cells[:1])
        if len(reading.time.columns) == 1
        else False
    )
    return "text", zone, offset or reading.time.zone is not None


def _unit(cells: list[str]) -> str:
    """The unit of numbers since 1970, by their digits."""
    digits = len(cells[0].partition(".")[0].lstrip("-")) if cells else 0
    return {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}.get(digits, "number")


def _columns(table: Table, reading: Reading) -> dict[str, str | int]:
    def named(place: int) -> str | int:
        return table.names[place] if table.names is not None and table.names[place] else place + 1

    found = {str(name): named(place) for name, place in reading.columns.items() if name != "ts"}
    times = [named(place) for place in reading.time.columns]
    return {"ts": times[0] if len(times) == 1 else " ".join(map(str, times)), **found}
