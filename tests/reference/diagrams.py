"""Diagrams of the documentation, as SVG from text: a line is a chain of boxes, joined by ``->``.

They follow the colours that a reader's system prefers, and load nothing.
"""

from __future__ import annotations

from html import escape

DATA_FLOW = (
    "exchange, files -> Feed -> market topics -> recorder -> TimescaleDB or Postgres",
    "store, files, topic, synthetic -> Replay -> a topic of its own -> Backtest -> results -> recorder",
    "topics and store -> gateway -> page, UDF, WebSocket, REST",
)
WORKLOADS = {"Feed", "Replay", "Backtest", "recorder", "gateway"}
LETTER, PADDING, HEIGHT, GAP, ROW = 7.4, 12, 34, 30, 56  # pixels
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1c2430}rect{fill:#f2f5f9;stroke:#8c9ab0}"
    ".workload{fill:#dbe8ff;stroke:#2962ff}path{stroke:#5b687c;fill:none}polygon{fill:#5b687c}"
    "@media(prefers-color-scheme:dark){text{fill:#d6dae0}rect{fill:#1b212b;stroke:#4b5667}"
    ".workload{fill:#1d2f57;stroke:#7db4ff}path{stroke:#93a1b5}polygon{fill:#93a1b5}}"
)


def diagram(title: str, chains: tuple[str, ...]) -> str:
    """The chains below one another."""
    drawn, width = [], 0.0
    for number, chain in enumerate(chains):
        parts, end = _chain(chain.split(" -> "), 4 + number * ROW)
        drawn.append(parts)
        width = max(width, end)
    size = f"0 0 {width + 4:.0f} {len(chains) * ROW - ROW + HEIGHT + 8}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" width="{width + 4:.0f}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{''.join(drawn)}</svg>\n"
    )


def _chain(names: list[str], top: int) -> tuple[str, float]:
    """The boxes of a chain with the arrows between them, and where it ends."""
    parts, x = [], 4.0
    for number, name in enumerate(names):
        if number:
            parts.append(_arrow(x - GAP, top + HEIGHT / 2))
        width = len(name) * LETTER + 2 * PADDING
        kind = ' class="workload"' if name in WORKLOADS else ""
        parts.append(f'<rect{kind} x="{x:.1f}" y="{top}" width="{width:.1f}" height="{HEIGHT}" rx="6"/>')
        middle = x + width / 2
        parts.append(f'<text x="{middle:.1f}" y="{top + 22}" text-anchor="middle">{escape(name)}</text>')
        x += width + GAP
    return "".join(parts), x - GAP


def _arrow(x: float, y: float) -> str:
    tip = x + GAP - 3
    return (
        f'<path d="M{x + 3:.1f} {y}H{tip - 6:.1f}"/>'
        f'<polygon points="{tip:.1f},{y} {tip - 7:.1f},{y - 4} {tip - 7:.1f},{y + 4}"/>'
    )
