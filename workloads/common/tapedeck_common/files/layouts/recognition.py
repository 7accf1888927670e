"""Recognizes how a table is read: by what is declared, by a preset, by the names of its columns, or its values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from tapedeck_common.files.errors import InvalidFiles, NotMarketData
from tapedeck_common.files.layouts import fields
from tapedeck_common.files.layouts.fields import Field, Kind
from tapedeck_common.files.layouts.presets import Preset, matching, preset
from tapedeck_common.files.layouts.reading import Reading, RowDefaults
from tapedeck_common.files.layouts.time_values import clock_reading, is_time_column, time_reading
from tapedeck_common.files.layouts.value_columns import bar_columns
from tapedeck_common.files.tables.dialect import is_number
from tapedeck_common.files.tables.table import Table
from tapedeck_crds.files import AUTO, MESSAGES, Files
from tapedeck_crds.text import excerpt

SHOWN = 12
"""Names of columns in a message."""
TABLE = "table"
"""The layout of a table that no preset describes."""


@dataclass(frozen=True)
class _Found:
    """Which column is what: those of the time apart, of which there may be two."""

    layout: str
    kind: Kind
    columns: dict[Field, int]
    time: tuple[int, ...]
    zone: str | None = None
    scale: float = 1.0
    confirmed: bool = True
    assumed: tuple[str, ...] = ()
    signed: bool = False


def recognize(table: Table, files: Files, symbol: str) -> Reading:
    """How a table of files of a symbol is read. Raises InvalidFiles where no way fits, or more than one."""
    found = _declared(table, files) or _by_preset(table, files) or _by_names(table, files, symbol)
    found = found or _by_values(table, files)
    if found is None:
        raise _unknown(table, files)
    if files.kind is not None and found.kind != files.kind:
        raise InvalidFiles(f"{table.name}: kind: got {found.kind}, expected {files.kind} as declared")
    return _with_times(table, files, found)


def _declared(table: Table, files: Files) -> _Found | None:
    """By columns that the user declares, completed by their names."""
    declared = files.columns
    time = None if files.time is None else files.time.columns
    if declared is None and time is None:
        return None
    given: dict[Field, int] = {}
    for field in fields.EVERY:
        value = None if declared is None else getattr(declared, field)
        if value is not None:
            given[field] = _place(table, f"columns.{field}", value)
    kind = files.kind or ("trades" if "price" in given else "bars")
    known = fields.columns_of(table.names, kind) if table.names is not None else {}
    columns = {field: place for field, place in known.items() if place not in given.values()} | given
    places = tuple(_place(table, "time.columns", each) for each in time or ())
    if not places and "ts" in columns:
        places = (columns["ts"],)
    _check_complete(table, columns | ({"ts": places[0]} if places else {}), kind, _given(files))
    confirmed = table.names is not None and fields.is_header(table.names)
    return _Found(TABLE if files.format == AUTO else files.format, kind, columns, places, confirmed=confirmed)


def _place(table: Table, field: str, column: str | int) -> int:
    """The index of a column. Raises InvalidFiles where the table does not have it."""
    if isinstance(column, int):
        if column <= table.width:
            return column - 1
        raise _error_type(table)(f"{table.name}: {field}: got column {column}, expected 1 to {table.width}")
    names = list(table.names or ())
    if column in names:
        return names.index(column)
    plain = [fields.plain(name) for name in names]
    if fields.plain(column) in plain:
        return plain.index(fields.plain(column))
    known = names[:SHOWN] if fields.is_header(names) else ()  # the others may be no market data
    shown = ", ".join(map(excerpt, known)) or "which has no header that is known"
    raise _error_type(table)(
        f"{table.name}: {field}: got column {excerpt(column)!r}, expected one of the file's: {shown}"
    )


def _by_preset(table: Table, files: Files) -> _Found | None:
    if files.format == AUTO:
        return _unanimous(table, matching(table, files.kind))
    named = preset(files.format)
    if problem := named.problem(table):
        raise _error_type(table)(f"{table.name}: {problem} of the format {files.format}")
    return _of_preset(table, named)


def _unanimous(table: Table, presets: Sequence[Preset]) -> _Found | None:
    """The reading of every preset that fits; None if none does. Raises InvalidFiles where they differ."""
    found = [_of_preset(table, each) for each in presets]
    if not found:
        return None
    first = found[0]
    for other in found[1:]:
        if replace(other, layout=first.layout) != first:
            names = " or ".join(each.layout for each in found)
            raise InvalidFiles(f"{table.name}: may be of the format {names}; expected one of them in `format`")
    return first


def _of_preset(table: Table, preset: Preset) -> _Found:
    columns = preset.places() if table.names is None else fields.columns_of(table.names, preset.kind)
    time = _time_of(table, columns) if table.names is not None else (columns.get("ts", 0),)
    if time is None:
        raise InvalidFiles(f"{table.name}: got no column of times, expected one as in the format {preset.name}")
    places = preset.time_places() or time
    return _Found(
        preset.name,
        preset.kind,
        columns,
        places,
        preset.zone,
        preset.scale,
        assumed=preset.assumed,
        signed=preset.signed,
    )


def _by_names(table: Table, files: Files, symbol: str) -> _Found | None:
    if table.names is None or fields.is_prose(table.names):
        return None
    if {"e", "T", "t", "p", "q"} <= set(table.names):
        raise InvalidFiles(f"{table.name}: holds messages of Binance's websocket; declare format: {MESSAGES}")
    base = symbol.partition("/")[0]
    given = _given(files)
    kinds = [files.kind] if files.kind is not None else fields.kinds_of(table.names, given)
    for kind in kinds:
        columns = fields.columns_of(table.names, kind, base)
        time = _time_of(table, columns)
        if time is None and "ts" in columns:
            time = (columns["ts"],)
        if time is not None and not fields.missing_of(columns | {"ts": time[0]}, kind, given):
            _check_unique(table.name, table.names, columns)
            return _Found(TABLE, kind, columns, time, assumed=_assumed_volume(table, columns))
    return None


def _check_unique(name: str, names: Sequence[str], columns: dict[Field, int]) -> None:
    """Raises InvalidFiles where the name of a field's column is that of another, too."""
    for field, place in columns.items():
        if names[place] and names.count(names[place]) > 1:
            raise InvalidFiles(
                f"{name}: got {names.count(names[place])} columns {excerpt(names[place])!r}, expected one; declare "
                f"columns.{field} by its number"
            )


def _time_of(table: Table, columns: dict[Field, int]) -> tuple[int, ...] | None:
    """The column of the time: where two names fit, one of numbers of a time or text of one."""
    pair = fields.date_and_clock(table.names or ())
    if pair is not None and clock_reading(table, pair[1]):
        return pair
    place = columns.get("ts")
    if place is not None and is_time_column(table, place):
        return (place,)
    return next(((n,) for n in range(table.width) if is_time_column(table, n) and n not in columns.values()), None)


def _assumed_volume(table: Table, columns: dict[Field, int]) -> tuple[str, ...]:
    place = columns.get("volume")
    if place is None or table.names is None or fields.plain(table.names[place]) in fields.NAMES["volume"]:
        return ()
    return (f"volume is the column {table.names[place]}",)


def _by_values(table: Table, files: Files) -> _Found | None:
    """Bars by their values; a table of other names is read as one without."""
    if table.names is not None or files.kind == "trades":
        return None
    for place in range(min(table.width, SHOWN)):
        if is_time_column(table, place):
            rows = [[_float(cell) for cell in row] for row in table.sample]
            columns = bar_columns(rows, place)
            if columns is not None:
                return _Found(TABLE, "bars", columns, (place,), assumed=("open comes before close",))
    return None


def _with_times(table: Table, files: Files, found: _Found) -> Reading:
    time = time_reading(table, files, found.time)
    if time.stamp is None and fields.is_close_time(table.names, found.time[0]):
        time = replace(time, stamp="close")
    zone = (files.time.zone if files.time else None) or found.zone
    if zone is not None:
        time = replace(time, zone=ZoneInfo(zone))
    adjusted = None
    if files.adjust:
        adjusted = fields.adjusted_close(table.names or ())
        if adjusted is None:
            raise InvalidFiles(f"{table.name}: adjust: got no column of adjusted closes, expected Adj Close")
    return Reading(
        found.layout,
        found.kind,
        found.columns,
        time,
        files.scale or found.scale,
        adjusted,
        found.confirmed,
        found.assumed,
        _is_signed(table, files, found.columns) or found.signed,
        _defaults(files),
        _instrument(table, found.columns),
    )


def _instrument(table: Table, columns: dict[Field, int]) -> str | None:
    """The number of the instrument, where a column of symbols has one number alone: it is no symbol."""
    place = columns.get("symbol")
    if place is None or table.names is None or fields.plain(table.names[place]) not in fields.NUMBERED:
        return None
    found = {row[place] or "" for row in table.sample}
    return next((number for number in found if len(found) == 1 and number.isdecimal()), None)


def _is_signed(table: Table, files: Files, columns: dict[Field, int]) -> bool:
    """Whether the sign of an amount is the side of its trade: as declared, else where a first one is negative."""
    if files.signed is not None:
        return files.signed
    if not {"side", "maker"}.isdisjoint(columns) or "price" not in columns or "amount" not in columns:
        return False
    return any((row[columns["amount"]] or "").strip().startswith("-") for row in table.sample)


def _given(files: Files) -> frozenset[Field]:
    """The fields that need no column."""
    return frozenset(("amount",) if files.defaults is not None and files.defaults.amount is not None else ())


def _defaults(files: Files) -> RowDefaults:
    given = files.defaults
    if given is None:
        return RowDefaults()
    return RowDefaults(given.volume or 0.0, given.amount, given.side or "unknown")


def _check_complete(table: Table, columns: dict[Field, int], kind: Kind, given: Collection[Field]) -> None:
    if missing := fields.missing_of(columns, kind, given):
        raise InvalidFiles(f"{table.name}: header lacks {', '.join(missing)}; expected columns of all of them")


def _unknown(table: Table, files: Files) -> InvalidFiles:
    """What is wrong with a table that cannot be read, and how to go on."""
    kind: Kind = files.kind or "bars"
    if table.names is not None and {"bid", "ask"} <= {fields.plain(name) for name in table.names}:
        return InvalidFiles(
            f"{table.name}: holds quotes (bid and ask), expected bars or trades; to take one side for trades name it "
            "in `columns`, as {price: Bid, amount: BidVolume}"
        )
    if table.names is not None:
        found = fields.columns_of(table.names, kind)
        if files.kind is None and "price" in (of_trades := fields.columns_of(table.names, "trades")):
            kind, found = "trades", of_trades
        missing = fields.missing_of(found, kind)
        known = any(fields.plain(name) in names for name in table.names for names in fields.NAMES.values())
        shown = ", ".join(map(excerpt, table.names[:SHOWN])) if known else f"{len(table.names)} others"
        message = f"{table.name}: header lacks {', '.join(missing)} of {kind}; found {shown}; name them in `columns`"
        return InvalidFiles(message) if known and _has_numbers(table) else NotMarketData(message)
    message = (
        f"{table.name}: got {table.width} columns without a header that no preset has, expected a table of market "
        "data; name the columns in `columns` by their numbers"
    )
    return InvalidFiles(message) if _has_times(table) else NotMarketData(message)


def _error_type(table: Table) -> type[InvalidFiles]:
    """The error of a table that is not as declared: market data of another form, or none."""
    return InvalidFiles if _has_times(table) or _has_numbers(table) else NotMarketData


def _has_times(table: Table) -> bool:
    return any(is_time_column(table, place) for place in range(min(table.width, SHOWN)))


def _has_numbers(table: Table) -> bool:
    """Whether a row has two numbers at least, such as a time and a price: a text with names of columns has none."""
    return any(sum(cell is not None and is_number(cell) for cell in row) >= 2 for row in table.sample)


def _float(cell: str | None) -> float | None:
    try:
        return None if cell is None else float(cell)
    except ValueError:
        return None
