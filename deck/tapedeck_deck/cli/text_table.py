"""Text tables of objects, with columns and ages as kubectl prints them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from tapedeck_crds.json import Json
from tapedeck_crds.resource import Column
from tapedeck_crds.text import printable
from tapedeck_deck.cli.printing import coloured

_GAP = "   "


def age(since: datetime, now: datetime) -> str:
    """A duration as kubectl writes it: 45s, 3m20s, 25m, 5h10m, 30h, 4d2h, 90d, 3y40d."""
    seconds = max(int((now - since).total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def cell(document: Json, column: Column, now: datetime) -> str:
    """The text of one column, empty if the object has no value for it."""
    value: Any = document
    for name, index in _steps(column.json_path):
        value = value.get(name) if isinstance(value, dict) else None
        if index is not None and value is not None:
            value = value[index] if index < len(value) else None
    if value is None:
        return ""
    if column.type == "date":
        return age(datetime.fromisoformat(value).astimezone(UTC), now)
    if column.type == "number":
        return number(value)
    return str(value).replace("\n", " ")


@cache
def _steps(json_path: str) -> tuple[tuple[str, int | None], ...]:
    """The names on a path, each with the index that follows it."""
    parts = (part.rstrip("]").partition("[") for part in json_path.strip(".").split("."))
    return tuple((name, int(index) if index else None) for name, _, index in parts)


def number(value: float) -> str:
    """Two decimals, or three significant digits of a number that two decimals would show as almost nothing."""
    return f"{value:.2f}" if value == 0 or abs(value) >= 0.1 else f"{Decimal(f'{value:.3g}'):f}"


def row(document: Json, columns: Sequence[Column], now: datetime, *, prefix: str = "") -> list[str]:
    """The cells of an object, its name first."""
    return [prefix + document["metadata"]["name"], *(cell(document, column, now) for column in columns)]


class TextTable:
    """Lines with aligned columns. Later rows use at least the widths of the earlier ones."""

    def __init__(self, headers: Sequence[str]) -> None:
        self._headers = [header.upper() for header in headers]
        self._widths = [len(header) for header in self._headers]

    def lines(self, rows: Sequence[Sequence[str]], *, header: bool = True) -> list[str]:
        """The rows as lines, with or without the header."""
        rows = [[printable(text) for text in cells] for cells in rows]
        for cells in rows:
            self._widths = [max(width, len(text)) for width, text in zip(self._widths, cells, strict=True)]
        lines = [self._headers, *rows] if header else list(rows)
        has_colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        return [self._line(cells, has_colours=has_colours) for cells in lines]

    def _line(self, cells: Sequence[str], *, has_colours: bool) -> str:
        padded = (
            (coloured(text) if has_colours else text) + " " * (width - len(text))
            for text, width in zip(cells, self._widths, strict=True)
        )
        return _GAP.join(padded).rstrip()
