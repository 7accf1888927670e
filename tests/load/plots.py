"""Lines over time as SVG, without a library: time goes right, the value up from zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 320, 70, 190, 40, 30
COLOURS = ("#2563eb", "#dc2626", "#16a34a", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f", "#475569", "#000000")
GRID_LINES = 4

Line = Sequence[tuple[float, float]]
"""(seconds, value) in order."""


def plot(path: Path, title: str, unit: str, lines: Mapping[str, Line]) -> None:
    """Write a picture of some lines, the largest named first."""
    shown = dict(sorted(lines.items(), key=lambda item: -max((value for _, value in item[1]), default=0)))
    end = max((line[-1][0] for line in shown.values() if line), default=1.0) or 1.0
    top = max((value for line in shown.values() for _, value in line), default=1.0) or 1.0
    parts = [_frame(title, unit, end, top)]
    for number, (name, line) in enumerate(shown.items()):
        parts.append(_line(number, name, line, end, top))
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="12"'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join(parts)}</svg>\n')


def _x(seconds: float, end: float) -> float:
    return LEFT + seconds / end * (WIDTH - LEFT - RIGHT)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _frame(title: str, unit: str, end: float, top: float) -> str:
    parts = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}, {escape(unit)}</text>',
    ]
    for step in range(GRID_LINES + 1):
        value, seconds = top * step / GRID_LINES, end * step / GRID_LINES
        y, x = _y(value, top), _x(seconds, end)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{seconds:.0f} s</text>')
    return "".join(parts)


def _line(number: int, name: str, line: Line, end: float, top: float) -> str:
    colour = COLOURS[number % len(COLOURS)]
    points = " ".join(f"{_x(seconds, end):.1f},{_y(value, top):.1f}" for seconds, value in line)
    y = TOP + 16 * number
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{WIDTH - RIGHT + 10}" y="{y}" fill="{colour}">{escape(name)}</text>'
    )
