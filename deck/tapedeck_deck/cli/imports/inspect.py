"""Looks at the files of an import: how each is read, and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tapedeck_common.files import FilesAccess, InvalidFiles, SourceFile, find_files
from tapedeck_common.files.inspection import Counted, Recognized, count_rows, recognize_file
from tapedeck_crds.files import AUTO, Files
from tapedeck_crds.json import Json
from tapedeck_deck.cli.imports.paths import Listed
from tapedeck_deck.embedded.errors import DeckError

EXCHANGE = "files"
"""The exchange of files that say none."""
STAND_IN = "A/B"
"""A symbol while that of a file is not known."""


@dataclass(frozen=True)
class Declared:
    """What the user says of all files: fields of Files, and symbol, exchange and interval, None where omitted."""

    fields: Mapping[str, Any]
    symbol: str | None = None
    exchange: str | None = None
    interval: str | None = None


@dataclass(frozen=True)
class Found:
    """A file, the spec by which it is read, and what it holds."""

    path: str
    files: Files
    symbol: str
    recognized: Recognized
    counted: Counted
    assumed: tuple[str, ...]

    def document(self) -> Json:
        """The file in the output of ``--dry-run -o json``."""
        times = (self.counted.first, self.counted.last)
        return {
            "path": self.path,
            "layout": self.recognized.layout,
            "kind": self.recognized.kind,
            "exchange": self.files.exchange,
            "symbol": self.symbol,
            "interval": self.files.interval if self.recognized.kind == "bars" else None,
            "unit": self.recognized.unit,
            "zone": self.recognized.zone,
            "columns": self.recognized.columns,
            "rows": self.counted.rows,
            "first": times[0],
            "last": times[1],
            "holes": self.counted.holes,
            "assumed": list(self.assumed),
            "refused": [{"reason": r.reason, "line": r.line, "count": r.count} for r in self.counted.refused],
        }


@dataclass(frozen=True)
class Looked:
    """The files that can be imported, those that cannot with the reason, and those of a folder that are no data."""

    found: tuple[Found, ...]
    refused: Mapping[str, str]
    skipped: Mapping[str, str]


def look(listed: Listed, declared: Declared, on_file: Callable[[str], None] = lambda _: None) -> Looked:
    """Read each file. Raises DeckError for declared fields that no resource accepts."""
    found: list[Found] = []
    refused: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for path in listed.paths:
        on_file(path)
        try:
            found.append(_look(listed, path, declared))
        except InvalidFiles as error:
            (refused if error.is_data or path in listed.chosen else skipped)[path] = str(error)
    return Looked(tuple(found), refused, skipped)


def _look(listed: Listed, path: str, declared: Declared) -> Found:
    access = FilesAccess(listed.root)
    first = _files(declared, path, STAND_IN, declared.interval or "1m", EXCHANGE)
    [source] = _source(first, access)
    recognized = recognize_file(first, source, declared.symbol)
    assumed = list(recognized.assumed)
    symbol = declared.symbol or recognized.symbol
    if symbol is None:
        symbol = _by_name(path)
        assumed.append(f"symbol is {symbol}, by the file's name")
    exchange = declared.exchange or recognized.exchange
    if exchange is None:
        exchange = EXCHANGE
        assumed.append(f"exchange is {EXCHANGE}")
    interval = declared.interval or recognized.interval
    if interval is None:
        interval = "1m"
        if recognized.kind == "bars":
            assumed.append("interval is 1m")
    files = _files(declared, path, symbol, interval, exchange, recognized)
    [source] = _source(files, access)
    counted = count_rows(files, recognized.kind, source)
    return Found(path, files, symbol, recognized, counted, tuple(assumed))


def _files(
    declared: Declared, path: str, symbol: str, interval: str, exchange: str, recognized: Recognized | None = None
) -> Files:
    fields: dict[str, Any] = {**declared.fields}
    if recognized is not None:
        fields.setdefault("kind", recognized.kind)
        if fields.get("format", AUTO) == AUTO and recognized.layout in _presets():
            fields["format"] = recognized.layout
    sets = [{"symbol": symbol, "path": path}]
    try:
        return Files.model_validate({**fields, "exchange": exchange, "interval": interval, "sets": sets})
    except ValueError as error:
        raise DeckError(_first_problem(error)) from None


def _presets() -> Sequence[str]:
    from tapedeck_crds.file_presets import preset_names

    return preset_names()


def _source(files: Files, access: FilesAccess) -> list[SourceFile]:
    return [source for sources in find_files(files, access).values() for source in sources][:1]


def _by_name(path: str) -> str:
    """A symbol from a file's name that says none."""
    stem = path.rpartition("/")[2].partition(".")[0]
    return "".join(each for each in stem if each.isalnum() or each in "-_").upper()[:32] or "DATA"


def _first_problem(error: ValueError) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"--{where.replace('.', '-')}: got {first['input']!r}, {first['msg'].removeprefix('Value error, ')}"
