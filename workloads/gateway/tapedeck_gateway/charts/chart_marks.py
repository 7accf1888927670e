"""Marks of charts: on a bar, and on the time scale. Times are milliseconds UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tapedeck_crds.intervals import BarLength

MARKS_OF_BAR = 10  # TradingView's charts attach no more to a bar


@dataclass(frozen=True)
class BarMark:
    """A mark on the bar that contains ``ts``; ``label`` is one letter."""

    id: str
    ts: int
    color: str
    label: str
    text: str


@dataclass(frozen=True)
class TimescaleMark:
    """A mark below the bar that contains ``ts``; the lines of ``tooltip`` are shown when it is pointed at."""

    id: str
    ts: int
    color: str
    label: str
    tooltip: Sequence[str] = field(default_factory=tuple)


def udf_marks(marks: Sequence[BarMark], length: BarLength) -> dict[str, list[Any]]:
    """UDF's answer to /marks: a table by column. The time of a mark is the open of its bar, of this length."""
    return {
        "id": [mark.id for mark in marks],
        "time": [length.open_of(mark.ts) // 1000 for mark in marks],
        "color": [mark.color for mark in marks],
        "text": [mark.text for mark in marks],
        "label": [mark.label for mark in marks],
        "labelFontColor": ["white" for _ in marks],
        "minSize": [14 for _ in marks],
    }


def udf_timescale_marks(marks: Sequence[TimescaleMark], length: BarLength) -> list[dict[str, Any]]:
    """UDF's answer to /timescale_marks, in order of time; their times as those of ``udf_marks``."""
    return [
        {
            "id": mark.id,
            "time": length.open_of(mark.ts) // 1000,
            "color": mark.color,
            "label": mark.label,
            "tooltip": list(mark.tooltip),
        }
        for mark in sorted(marks, key=lambda mark: mark.ts)
    ]
