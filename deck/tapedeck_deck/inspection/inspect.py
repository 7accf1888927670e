"""Looks at the files of an import: how each is read, and what it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tapedeck_common.files import FilesAccess, InvalidFiles, SourceFile, find_files
from tapedeck_common.files.errors import NotMarketData
from tapedeck_common.files.inspection import recognize_file
from tapedeck_common.files.layouts.file_names import DeclaredParts, declared_parts
from tapedeck_common.files.recognized import Recognized
from tapedeck_common.files.row_counts import Counted, count_rows
from tapedeck_crds.files import AUTO, Files, formats
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.inspection.listed import Listed

EXCHANGE = "files"
"""The exchange of files that say none."""
STAND_IN = "A/B"
"""A symbol while that of a file is not known."""
SYMBOLS_SHOWN = 100


class OptionRefused(DeckError):
    """What the user says in one option cannot be. ``option`` is its name in the API."""

    def __init__(self, option: str, said: str) -> None:
        super().__init__(f"--{re.sub('[A-Z]', lambda letter: f'-{letter[0].lower()}', option)}: {said}")
        self.option, self.said = option, said


@dataclass(frozen=True)
class Declared:
    """What the user says of all files: fields of Files, and symbol, exchange and interval, None where omitted."""

    fields: Mapping[str, Any]
    symbol: str | None = None
    exchange: str | None = None
    interval: str | None = None


@dataclass(frozen=True)
class Found:
    """A file, the spec by which it is read, and what it holds. ``symbol`` is None where each row says its own."""

    path: str
    files: Files
    symbol: str | None
    recognized: Recognized
    counted: Counted
    assumed: tuple[str, ...]

    @property
    def symbols(self) -> list[str]:
        """The symbols of its rows; the declared one of a file without rows."""
        return self.counted.symbols or ([self.symbol] if self.symbol is not None else [])

    def document(self) -> Json:
        """The file in the output of ``--dry-run -o json``; ``symbol`` is null where it has several."""
        times = (self.counted.first, self.counted.last)
        return {
            "path": self.path,
            "layout": self.recognized.layout,
            "kind": self.recognized.kind,
            "exchange": self.files.exchange,
            "symbol": self.symbols[0] if len(self.symbols) == 1 else None,
            "symbols": self.symbols[:SYMBOLS_SHOWN],
            "interval": self.files.interval if self.recognized.kind == "bars" else None,
            "unit": self.recognized.unit,
            "zone": self.recognized.zone,
            "columns": self.recognized.columns,
            "rows": self.counted.rows,
            "first": times[0],
            "last": times[1],
            "holes": self.counted.holes,
            "missing": self.counted.missing,
            "empty": self.counted.empty,
            "skipped": list(self.counted.skipped),
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
    parts = _parts(declared, path)
    told = declared.symbol or parts.symbol
    first = _files(declared, path, told or STAND_IN, declared.interval or parts.interval or "1m", EXCHANGE)
    [source] = _source(first, access)
    recognized = recognize_file(first, source, told)
    symbol = None if recognized.by_row else recognized.symbol or _by_name(path)
    assumed = [] if recognized.is_sure else [f"symbol is {symbol}, by the file's name"]
    if symbol is not None and told is None:  # the base currency tells which of several volumes is meant
        recognized = recognize_file(first, source, symbol)
    assumed += recognized.assumed
    exchange = declared.exchange or recognized.exchange or EXCHANGE
    if declared.exchange is None and recognized.is_common:
        assumed.append(f"exchange is {exchange}")
    interval = declared.interval or parts.interval or recognized.interval
    if interval is None:
        interval = "1m"
        if recognized.kind == "bars":
            assumed.append("interval is 1m")
    in_set = None if declared.symbol is None and parts.symbol is not None else symbol
    files = _files(declared, path, in_set, interval, exchange, recognized)
    [source] = _source(files, access)
    counted = count_rows(files, recognized.kind, source)
    if not counted.rows and not counted.refused:
        raise NotMarketData(f"{path}: holds a header and no rows, expected rows of market data")
    if not counted.rows:
        reason = counted.refused[0]
        raise InvalidFiles(f"{path}: has no valid row; the first: {path}:{reason.line}: {reason.reason}")
    return Found(path, files, symbol, recognized, counted, tuple(assumed))


def _parts(declared: Declared, path: str) -> DeclaredParts:
    """What the file's name says by a declared pattern. Raises InvalidFiles."""
    pattern = declared.fields.get("fileName")
    if pattern is None:
        return DeclaredParts(None, None)
    try:
        return declared_parts(pattern, path.rpartition("/")[2])
    except ValueError as error:
        raise InvalidFiles(f"{path}: {error}") from None


def _files(
    declared: Declared,
    path: str,
    symbol: str | None,
    interval: str,
    exchange: str,
    recognized: Recognized | None = None,
) -> Files:
    fields: dict[str, Any] = {**declared.fields}
    if recognized is not None:
        fields.setdefault("kind", recognized.kind)
        if fields.get("format", AUTO) == AUTO and recognized.layout in formats():
            fields["format"] = recognized.layout
        if recognized.security_type is not None:
            fields.setdefault("securityType", recognized.security_type)
    sets = [{"path": path} if symbol is None else {"symbol": symbol, "path": path}]
    try:
        return Files.model_validate({**fields, "exchange": exchange, "interval": interval, "sets": sets})
    except ValueError as error:
        raise _refused_option(error) from None


def _source(files: Files, access: FilesAccess) -> list[SourceFile]:
    return [source for sources in find_files(files, access).values() for source in sources][:1]


def _by_name(path: str) -> str:
    """A symbol from a file's name that says none."""
    stem = path.rpartition("/")[2].partition(".")[0]
    return "".join(each for each in stem if each.isalnum() or each in "-_").upper()[:32] or "DATA"


def _refused_option(error: ValueError) -> DeckError:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return DeckError(str(error))
    first = error.errors()[0]
    named = [each for each in first["loc"] if isinstance(each, str)]
    option = "timeFormat" if named == ["time", "format"] else named[-1] if named else "layout"
    return OptionRefused(option, f"got {first['input']!r}, {first['msg'].removeprefix('Value error, ')}")
