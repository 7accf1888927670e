"""Presets as what they are matched by: names of the header, kinds of the columns' values, and names of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from tapedeck_common.files.layouts.fields import EVERY, Field, Kind, columns_of, missing_of, plain
from tapedeck_common.files.layouts.name_patterns import NamePattern, name_pattern
from tapedeck_common.files.layouts.time_values import is_clock, is_date, is_time_column
from tapedeck_common.files.tables.dialect import is_number
from tapedeck_common.files.tables.table import Table
from tapedeck_crds.file_presets import preset_document, preset_names

_TYPES: dict[str, str] = {
    "ts": "time",
    **dict.fromkeys(("open", "high", "low", "close", "volume", "price", "amount"), "number"),
    "id": "int",
    "maker": "bool",
    "side": "text",
    "symbol": "text",
    "interval": "text",
}


@dataclass(frozen=True)
class Preset:
    """A layout: ``columns`` are (name, type) of a table without a header, ``header`` are names of one with it.

    A preset that is ``named`` fits only files whose names match ``file``: their content is that of others, too. One
    that is ``ordered`` has the columns of its header in that order, and no other. ``types`` are (name, type) of some.
    ``signed`` amounts of trades are negative of a sale. Of one that is ``common`` others write such files, too: its
    exchange is not certain. ``assumed`` is what such files do not say.
    """

    name: str
    kind: Kind
    columns: tuple[tuple[str, str], ...] = ()
    header: tuple[str, ...] = ()
    file: NamePattern | None = None
    named: bool = False
    ordered: bool = False
    types: tuple[tuple[str, str], ...] = ()
    scale: float = 1.0
    zone: str | None = None
    exchange: str | None = None
    common: bool = False
    signed: bool = False
    assumed: tuple[str, ...] = ()

    def problem(self, table: Table) -> str | None:
        """Why the table is not of this layout; None if it is."""
        if table.names is not None:
            known = [plain(name) for name in table.names]
            missing: list[str] = [name for name in self.header if plain(name) not in known]
            missing = missing or [*missing_of(columns_of(table.names, self.kind), self.kind)]
            return f"header lacks {', '.join(missing)}" if missing else self._type_problem(table, known)
        if not self.columns:
            return f"got no header, expected {', '.join(self.header)}"
        if len(self.columns) != table.width:
            return f"got {table.width} columns, expected {len(self.columns)}"
        for place, (name, type_) in enumerate(self.columns):
            if not _CHECKS[type_](table, place):
                return f"got other values than {type_} in column {place + 1}, expected {name}"
        return None

    def _type_problem(self, table: Table, known: Sequence[str]) -> str | None:
        if self.ordered and known != [plain(name) for name in self.header]:
            return f"got other columns, expected only {', '.join(self.header)} in this order"
        wrong = [name for name, type_ in self.types if not _CHECKS[type_](table, known.index(plain(name)))]
        return f"got other values in {', '.join(wrong)}" if wrong else None

    def fits(self, table: Table) -> bool:
        """Whether the table is certainly of this layout."""
        if self.named and (self.file is None or self.file.match(table.stem) is None):
            return False
        if table.names is not None and not self.header:
            return False
        return self.problem(table) is None and self._prices_fit(table)

    def places(self) -> dict[Field, int]:
        """The columns of the fields in a table without a header."""
        return {name: place for place, (name, _) in enumerate(self.columns) if name in EVERY}

    def time_places(self) -> tuple[int, ...]:
        """The columns of date and time of day, where they are two."""
        return tuple(place for place, (_, type_) in enumerate(self.columns) if type_ in ("date", "clock"))

    def _prices_fit(self, table: Table) -> bool:
        if table.names is not None or self.kind == "trades":
            return True
        places = self.places()
        for row in table.sample:
            try:
                low, high = float(row[places["low"]] or ""), float(row[places["high"]] or "")
                inner = [float(row[places[name]] or "") for name in ("open", "close")]
            except ValueError:
                continue
            if not low <= min(inner) <= max(inner) <= high:
                return False
        return True


def matching(table: Table, kind: Kind | None) -> list[Preset]:
    """The presets that fit a table: those that its file's name confirms, else those with most names of its header."""
    found = [each for name in preset_names() if (each := preset(name)).fits(table) and kind in (None, each.kind)]
    named = [each for each in found if each.file is not None and each.file.match(table.stem) is not None]
    most = max((len(each.header) for each in found), default=0)
    return named or [each for each in found if len(each.header) == most]


@cache
def preset(name: str) -> Preset:
    """The preset of a name."""
    document = preset_document(name)
    columns = (text.partition(":") for text in document.get("columns", ()))
    return Preset(
        name,
        document["kind"],
        tuple((column, type_ or _TYPES[column]) for column, _, type_ in columns),
        tuple(document.get("header", ())),
        name_pattern(document["file"]) if "file" in document else None,
        document.get("named", False),
        document.get("ordered", False),
        tuple(document.get("types", {}).items()),
        float(document.get("scale", 1)),
        document.get("time", {}).get("zone"),
        document.get("exchange"),
        document.get("common", False),
        document.get("signed", False),
        tuple(document.get("assumed", ())),
    )


def _all(holds: Callable[[str], bool]) -> Callable[[Table, int], bool]:
    def check(table: Table, place: int) -> bool:
        cells = [row[place] for row in table.sample]
        return bool(cells) and all(cell is not None and holds(cell) for cell in cells)

    return check


_CHECKS: dict[str, Callable[[Table, int], bool]] = {
    "time": is_time_column,
    "number": _all(is_number),
    "int": _all(str.isdecimal),
    "bool": _all(lambda cell: cell.lower() in ("true", "false")),
    "date": _all(is_date),
    "clock": _all(is_clock),
    "text": _all(bool),
}
