"""Marks of charts: on a bar, and on the time scale.

``opened`` is the open of a mark's bar, milliseconds UTC: of a fill and of a trade's exit it is
``BarLength.open_of_event``, of what begins at a time ``BarLength.open_of``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MARKS_OF_BAR = 10  # TradingView's charts attach no more to a bar


@dataclass(frozen=True)
class BarMark:
    """A mark on a bar; ``label`` is one letter."""

    id: str
    opened: int
    color: str
    label: str
    text: str


@dataclass(frozen=True)
class TimescaleMark:
    """A mark below a bar; the lines of ``tooltip`` are shown when it is pointed at."""

    id: str
    opened: int
    color: str
    label: str
    tooltip: Sequence[str] = field(default_factory=tuple)


def udf_marks(marks: Sequence[BarMark]) -> dict[str, list[Any]]:
    """UDF's answer to /marks: a table by column."""
    return {
        "id": [mark.id for mark in marks],
        "time": [mark.opened // 1000 for mark in marks],
        "color": [mark.color for mark in marks],
        "text": [mark.text for mark in marks],
        "label": [mark.label for mark in marks],
        "labelFontColor": ["white" for _ in marks],
        "minSize": [14 for _ in marks],
    }


def udf_timescale_marks(marks: Sequence[TimescaleMark]) -> list[dict[str, Any]]:
    """UDF's answer to /timescale_marks, in order of time."""
    return [
        {
            "id": mark.id,
            "time": mark.opened // 1000,
            "color": mark.color,
            "label": mark.label,
            "tooltip": list(mark.tooltip),
        }
        for mark in sorted(marks, key=lambda mark: mark.opened)
    ]
