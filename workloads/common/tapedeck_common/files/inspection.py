"""How files are read, before they are imported, and what is assumed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, tzinfo
from itertools import pairwise
from typing import cast

from tapedeck_common.files.binance import message_symbol
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.layouts.file_names import name_parts
from tapedeck_common.files.layouts.presets import preset
from tapedeck_common.files.layouts.reading import Reading
from tapedeck_common.files.layouts.recognition import TABLE
from tapedeck_common.files.layouts.series_names import name_symbol
from tapedeck_common.files.lean_inspection import recognize_lean
from tapedeck_common.files.recognized import Recognized
from tapedeck_common.files.source_files import SourceFile
from tapedeck_common.files.table_rows import errors_of, tables_of, times_of
from tapedeck_common.files.tables.table import Table
from tapedeck_crds.files import AUTO, LEAN, MESSAGES, Files
from tapedeck_crds.intervals import BAR_LENGTHS, Interval

_SHORTEST_MONTH, _LONGEST_MONTH = 28 * 86_400_000, 31 * 86_400_000


def recognize_file(files: Files, file: SourceFile, symbol: str | None) -> Recognized:
    """How a file is read, by its first table. ``symbol`` is the declared one. Raises InvalidFiles, FilesUnavailable."""
    with errors_of(file):
        if files.format in (AUTO, LEAN) and (lean := recognize_lean(files, file, symbol)) is not None:
            return lean
        if files.format == LEAN:
            raise InvalidFiles(f"{file.name}: got no name of LEAN, expected one like minute/spy/20131007_trade.zip")
        if files.format in (AUTO, MESSAGES) and (traded := message_symbol(file)) is not None:
            return _messages(symbol or traded)
        if files.format == MESSAGES:
            raise InvalidFiles(f"{file.name}: got no trade in its first line, expected messages of Binance's websocket")
        for table, reading in tables_of(files, file, symbol or "", lambda _: None):
            return _recognized(table, reading, symbol)
    raise InvalidFiles(f"{file.name}: holds no table, expected market data")


def _messages(symbol: str) -> Recognized:
    """Messages of Binance's websocket, which are read by their keys."""
    return Recognized(
        layout=MESSAGES,
        kind="trades",
        exchange="binance",
        is_common=False,
        symbol=symbol,
        by_row=False,
        is_sure=True,
        interval=None,
        unit="ms",
        zone="UTC",
        columns={"ts": "T", "id": "t", "price": "p", "amount": "q"},
        assumed=(),
    )


def _recognized(table: Table, reading: Reading, declared: str | None) -> Recognized:
    parts = name_parts(table.stem)
    assumed = list(reading.assumed)
    by_row = declared is None and "symbol" in reading.columns and reading.instrument is None
    named_symbol = name_symbol(table, reading.layout)
    symbol = None if by_row else declared or named_symbol or parts.symbol
    interval = _interval(table, reading) or parts.interval if reading.kind == "bars" else None
    known = BAR_LENGTHS.get(interval or "")
    unit, zone, has_offset = _time(table, reading)
    if not has_offset:
        assumed.append("times are in UTC")
    named = preset(reading.layout) if reading.layout != TABLE else None
    is_sure = declared is not None or by_row or (parts.sure and symbol in (parts.symbol, named_symbol))
    return Recognized(
        reading.layout,
        reading.kind,
        named.exchange if named else None,
        named is None or named.common,
        symbol,
        by_row,
        is_sure,
        None if known is None else cast(Interval, known.interval),
        unit,
        zone,
        _columns(table, reading),
        tuple(assumed),
    )


def _interval(table: Table, reading: Reading) -> str | None:
    """The most common distance of the first times, if it is that of an interval."""
    times = times_of(table, reading)
    distances = Counter(abs(later - earlier) for earlier, later in pairwise(times) if later != earlier)
    if not distances:
        return "1d" if len(times) > 1 and _is_midnight(times[0], reading.time.zone) else None
    usual, _ = distances.most_common(1)[0]
    if _SHORTEST_MONTH <= usual <= _LONGEST_MONTH:
        return "1M"
    return next((name for name, length in BAR_LENGTHS.items() if length.ms == usual), None)


def _is_midnight(ts: int, zone: tzinfo | None) -> bool:
    """Whether bars of many symbols that all open then are those of a day."""
    return datetime.fromtimestamp(ts / 1_000, zone or UTC).time() == time.min


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
