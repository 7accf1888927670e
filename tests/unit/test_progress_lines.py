"""Progress where the output is no terminal: a line for each quarter, and one now and then within a large step."""

from __future__ import annotations

import io

from rich.console import Console

from tapedeck_crds.json import Json
from tapedeck_deck.progress_bars import PLAIN_SECONDS, ProgressBars


def feed(progress: str, bars: int) -> Json:
    return {"kind": "Feed", "metadata": {"name": "csv"}, "status": {"progress": progress, "bars": bars}}


def test_a_large_file_says_that_it_goes_on() -> None:
    now = 0.0
    out = io.StringIO()
    lines = ProgressBars(Console(file=out, width=80), lambda: now)
    for second in range(35):
        now = float(second)
        lines.update(feed("0/1", 1_000 * second))
    now += PLAIN_SECONDS
    lines.update(feed("0/1", 34_000))
    lines.update(feed("0/1", 34_000))
    lines.update(feed("1/1", 35_000))
    lines.update(feed("1/1", 35_000))
    assert out.getvalue().splitlines() == [
        "Feed csv: 0/1 0 bars",
        "Feed csv: 0/1 10,000 bars",
        "Feed csv: 0/1 20,000 bars",
        "Feed csv: 0/1 30,000 bars",
        "Feed csv: 0/1 34,000 bars",
        "Feed csv: 1/1 35,000 bars",
    ]


def test_a_step_of_an_unknown_number_is_no_figure_of_python() -> None:
    now = 0.0
    out = io.StringIO()
    lines = ProgressBars(Console(file=out, width=80), lambda: now)
    lines.update(feed("0/?", 0))
    now = PLAIN_SECONDS
    lines.update(feed("0/?", 7))
    lines.update(feed("1/8", 9))
    lines.update(feed("4/8", 9))
    assert out.getvalue().splitlines() == ["Feed csv: 0/? 7 bars", "Feed csv: 1/8 9 bars", "Feed csv: 4/8 9 bars"]
