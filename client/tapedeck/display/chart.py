"""A line chart over time, as SVG and, where it is installed, by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tapedeck.display.html import text_of
from tapedeck.errors import PackageMissing

if TYPE_CHECKING:
    import matplotlib.figure

LineData: TypeAlias = tuple[str, list[int], list[float | None]]
"""Name, times (milliseconds UTC, rising) and values; None where there is none."""

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 72, 12, 26, 26
POINTS = 600  # drawn of a line; of longer ones the extremes of each stretch
COLOURS = ("#2962ff", "#e65100", "#2e7d32", "#ad1457", "#6a1b9a", "#00838f")
TICKS = 4
FIRST_TIME, END_OF_TIME = -62_135_596_800_000, 253_402_300_800_000  # the years 1 to 9999, which Python's calendar has


@dataclass(frozen=True)
class Chart:
    """Lines over time. Jupyter shows it as SVG; ``save`` writes it, ``matplotlib()`` gives a figure to go on with."""

    title: str
    lines: tuple[LineData, ...]

    @classmethod
    def of_columns(cls, title: str, lines: Sequence[LineData]) -> Chart:
        """A chart of lines, without the points that have no finite value or a time beyond the years 1 to 9999."""
        return cls(title, tuple(_finite(line) for line in lines))

    @property
    def svg(self) -> str:
        """The chart as an SVG document of its own, which loads nothing."""
        drawn = [(name, *_thinned(times, values)) for name, times, values in self.lines if times]
        body = _drawing(drawn) if drawn else _text(WIDTH / 2, HEIGHT / 2, "no values", "middle")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'style="max-width:100%;height:auto" role="img" font-family="sans-serif" font-size="11" '
            f'fill="currentColor"><title>{escape(self.title)}</title>{_legend(self.title, drawn)}{body}</svg>'
        )

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Chart({self.title!r}, {sum(len(times) for _, times, _ in self.lines):,} points)"

    def save(self, path: str | Path) -> Path:
        """Write the SVG into a file."""
        target = Path(path)
        target.write_text(self.svg, encoding="utf-8")
        return target

    def matplotlib(self) -> matplotlib.figure.Figure:
        """The chart as a matplotlib Figure. Raises PackageMissing."""
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise PackageMissing("matplotlib is not installed: `pip install matplotlib`, or use the SVG") from None
        figure, axes = plt.subplots(figsize=(9, 3.5))
        for name, times, values in self.lines:
            axes.plot([_moment(ms) for ms in times], values, label=name)
        axes.set_title(self.title)
        axes.legend()
        figure.autofmt_xdate()
        plt.close(figure)  # a notebook shows the figure that the cell returns, not a second time
        return figure


def _finite(line: LineData) -> LineData:
    name, times, values = line
    kept = [
        (ts, value)
        for ts, value in zip(times, values, strict=True)
        if value is not None and math.isfinite(value) and FIRST_TIME <= ts < END_OF_TIME
    ]
    return name, [ts for ts, _ in kept], [value for _, value in kept]


def _thinned(times: list[int], values: Sequence[float | None]) -> tuple[list[int], list[float]]:
    """At most some POINTS of a line: its ends, and of each stretch the lowest and the highest."""
    numbers = [float(value) for value in values if value is not None]
    if len(numbers) <= POINTS:
        return times, numbers
    size = math.ceil(len(numbers) / (POINTS // 2))
    kept = {0, len(numbers) - 1}
    for first in range(0, len(numbers), size):
        stretch = range(first, min(first + size, len(numbers)))
        kept |= {min(stretch, key=numbers.__getitem__), max(stretch, key=numbers.__getitem__)}
    order = sorted(kept)
    return [times[number] for number in order], [numbers[number] for number in order]


def _drawing(lines: Sequence[tuple[str, list[int], list[float]]]) -> str:
    first, last = min(times[0] for _, times, _ in lines), max(times[-1] for _, times, _ in lines)
    low, high = min(min(values) for *_, values in lines), max(max(values) for *_, values in lines)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    low, high = low - margin, high + margin

    def x(ts: float) -> float:
        return LEFT + (ts - first) / max(last - first, 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for number in range(TICKS + 1):
        value, ts = low + (high - low) * number / TICKS, first + (last - first) * number / TICKS
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="currentColor" '
            'stroke-opacity=".15"/>'
        )
        parts.append(_text(LEFT - 6, y(value) + 4, text_of(float(f"{value:.6g}")), "end"))
        anchor = "start" if number == 0 else "end" if number == TICKS else "middle"
        parts.append(_text(x(ts), HEIGHT - 8, _time_label(ts, last - first), anchor))
    for number, (_, times, values) in enumerate(lines):
        points = " ".join(f"{x(ts):.1f},{y(value):.1f}" for ts, value in zip(times, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_colour(number)}" stroke-width="1.5"/>')
    return "".join(parts)


def _legend(title: str, lines: Sequence[tuple[str, list[int], list[float]]]) -> str:
    if len(lines) < 2:
        return _text(LEFT, 16, title, "start")
    parts, at = [], float(LEFT)
    for number, (name, *_) in enumerate(lines):
        parts.append(f'<rect x="{at:.0f}" y="9" width="9" height="9" fill="{_colour(number)}"/>')
        parts.append(_text(at + 13, 17, name, "start"))
        at += 13 + 7 * len(name) + 16
    return "".join(parts)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _moment(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _time_label(ms: float, span: float) -> str:
    day = 86_400_000
    form = (
        "%Y-%m"
        if span > 730 * day
        else "%Y-%m-%d"
        if span > 5 * day
        else "%m-%d %H:%M"
        if span > day / 24
        else "%H:%M:%S"
    )
    return _moment(ms).strftime(form)


def percent_changes(values: Sequence[Any]) -> list[float | None]:
    """Values as changes from the first, percent; none where that is 0."""
    start = next((value for value in values if value), None)
    return [None if value is None or not start else (value / start - 1) * 100 for value in values]
