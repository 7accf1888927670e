"""How many rows of each table fit on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")


def shares(lines: int, wanted: Sequence[int]) -> list[int]:
    """Lines for each table: all that it wants where they fit; where not, the large ones get equally many."""
    found = [0] * len(wanted)
    left = max(lines, 0)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for place, index in enumerate(order):
        found[index] = min(wanted[index], left // (len(order) - place))
        left -= found[index]
    return found


def limited(rows: Sequence[Row], limit: int | None) -> tuple[Sequence[Row], str]:
    """The first rows on so many lines, the last of which says how many more there are; empty where all fit."""
    if limit is None or len(rows) <= limit:
        return rows, ""
    shown = rows[: max(limit - 1, 0)]
    return shown, f"{len(rows) - len(shown)} more"
