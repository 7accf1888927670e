"""Every generated page by its path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metrics_page.page import markdown as metrics
from reference import (
    benchmarks,
    chart_values,
    command_line,
    figures,
    layouts,
    reasons,
    records,
    resources,
    rest,
    tables,
    websocket,
)
from reference.diagrams import DATA_FLOW, diagram
from reference.markdown import HEADER

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PICTURES = FOLDER.parent / "pictures"
PAGES: dict[str, Callable[[], str]] = {
    "feed": lambda: resources.page("Feed"),
    "replay": lambda: resources.page("Replay"),
    "backtest": lambda: resources.page("Backtest"),
    "command-line": command_line.page,
    "chart-values": chart_values.page,
    "rest": rest.page,
    "websocket-messages": websocket.page,
    "topics": records.page,
    "tables": tables.page,
    "metrics": metrics,
    "reasons": reasons.page,
    "layouts": layouts.page,
    "figures": figures.page,
    "benchmarks": benchmarks.page,
}


def rendered() -> dict[Path, str]:
    """Path → text of each page, and of the diagram."""
    pages = {FOLDER / f"{name}.md": f"{HEADER}\n{make()}" for name, make in PAGES.items()}
    return {**pages, PICTURES / "data-flow.svg": diagram("How data flows", DATA_FLOW)}


def stale() -> list[Path]:
    """Paths of the pages that differ from the code."""
    return [path for path, text in rendered().items() if not path.exists() or path.read_text() != text]
