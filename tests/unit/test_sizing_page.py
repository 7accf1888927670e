"""The figures of docs/operate/sizing.md, beside those that were recorded last."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.recorded import recorded
from pages.tables import table_below

PAGE = Path(__file__).parents[2] / "docs/operate/sizing.md"
DAILY_ROWS = {"minute bars of 1,000 symbols": "bar", "100 trades a second": "trade", "2,000 trades a second": "trade"}


def _figure(name: str) -> float:
    return float(recorded()[f"sizing-{name}"]["value"])


def _number(cell: str) -> float:
    found = re.match(r"[\d,.]+", cell)
    assert found is not None, cell
    return float(found[0].replace(",", ""))


def test_the_pods_take_what_was_measured() -> None:
    rows = table_below(PAGE, "## A pod at a rate")
    assert len(rows) == 12
    for part, at, processor, memory in rows:
        rate = int(_number(at))
        assert _number(processor) == round(_figure(f"{part.lower()}-cpu-{rate}")), (part, rate)
        assert _number(memory) == round(_figure(f"{part.lower()}-memory-{rate}")), (part, rate)
    assert f"takes {_figure('backtest-memory'):.0f} MB" in PAGE.read_text()


def test_rows_and_records_have_the_measured_sizes() -> None:
    for row, store, bulk, live in table_below(PAGE, "## Disk"):
        assert (_number(store), _number(bulk)) == (round(_figure(f"store-{row}")), round(_figure(f"log-{row}")))
        assert live == "" or _number(live) == round(_figure("log-trade-live"))


def test_a_day_takes_its_rows_times_their_size() -> None:
    rows = table_below(PAGE, "Each replica of a topic")
    assert {row[0] for row in rows} == DAILY_ROWS.keys()
    for what, count, store, log in rows:
        kind = DAILY_ROWS[what]
        record = _figure("log-bar" if kind == "bar" else "log-trade-live")
        assert _number(store) * 1e9 == pytest.approx(_number(count) * _figure(f"store-{kind}"), rel=0.06)
        assert _number(log) * 1e9 == pytest.approx(_number(count) * record, rel=0.06)
