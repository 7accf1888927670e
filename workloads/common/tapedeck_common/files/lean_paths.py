"""What LEAN's folders and names of files say: ``equity/usa/minute/spy/20131007_trade.zip`` and the member in it."""

from __future__ import annotations

import re
from typing import NamedTuple, cast, get_args

from tapedeck_common.files.content.unpacking import unpack
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.source_files import SourceFile, open_file, size_of
from tapedeck_crds.files import SecurityType

INTERVALS = {"second": "1s", "minute": "1m", "hour": "1h", "daily": "1d"}
"""LEAN's resolutions, without ticks."""
OTHER_SECURITIES = ("future", "futureoption", "index", "indexoption", "option")
_OF_A_DAY = re.compile(r"\d{8}_(?P<ticker>[A-Za-z0-9.]+)_(?P<resolution>second|minute)_(?:trade|quote)\.csv")
_OF_ALL_DAYS = re.compile(r"(?P<ticker>[A-Za-z0-9.]+?)(?:_trade|_quote)?\.csv")


class LeanLayout(NamedTuple):
    """What a file's folders, or the spec, say of it."""

    security: SecurityType
    market: str
    resolution: str


class LeanFile(NamedTuple):
    """A file of LEAN by its names; ``layout`` is None outside LEAN's folders."""

    ticker: str
    resolution: str
    layout: LeanLayout | None


def lean_file(file: SourceFile) -> LeanFile | None:
    """The ticker and the layout of a zip that LEAN wrote; None for another file.

    Raises InvalidFiles for layouts that are not supported, and what reading a file raises.
    """
    if file.path.suffix.lower() != ".zip" or (member := _member(file)) is None:
        return None
    if (found := _OF_A_DAY.fullmatch(member)) is not None:
        return LeanFile(found["ticker"], found["resolution"], layout_of_folders(file))
    resolution = file.path.parts[-2] if len(file.path.parts) > 1 else ""
    named = _OF_ALL_DAYS.fullmatch(member)
    if resolution not in ("hour", "daily") or named is None or not file.path.name.startswith(named["ticker"]):
        return None
    layout = layout_of_folders(file)
    return None if layout is None else LeanFile(named["ticker"], resolution, layout)


def layout_of_folders(file: SourceFile) -> LeanLayout | None:
    """Security type, market and resolution of the path, if it has LEAN's folders. Raises InvalidFiles for others."""
    parts = file.path.parts
    for security, market, resolution in zip(parts, parts[1:], parts[2:], strict=False):
        if resolution not in (*INTERVALS, "tick"):
            continue
        if security in OTHER_SECURITIES:
            expected = ", ".join(get_args(SecurityType))
            raise InvalidFiles(f"{file.name}: got LEAN's layout of {security}, expected one of {expected}")
        if security in get_args(SecurityType):
            if resolution == "tick":
                raise InvalidFiles(f"{file.name}: got LEAN's layout of ticks, expected {', '.join(INTERVALS)}")
            return LeanLayout(cast(SecurityType, security), market, resolution)
    return None


def _member(file: SourceFile) -> str | None:
    with open_file(file) as raw:
        first = next(unpack(file.name, raw, size_of(raw)), None)
    return None if first is None else first.stem
