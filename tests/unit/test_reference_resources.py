"""The tables of the resources in the reference: no field without an example, no quantity without a unit."""

from __future__ import annotations

import pytest

from reference.resources import page
from tapedeck_crds.kinds import KINDS

COLUMNS = ("field", "type", "default", "unit", "what it is", "example")
# The ends of the paths of numbers without a unit: counts whose descriptions say of what, seeds, ratios, sizes of
# logarithms, and what has the unit of something else.
WITHOUT_UNIT = (
    *("shards", "trials", "parallelism", "keep", "seed", "fromOffset"),
    *("scale", "factor", "leverage", "correlation[]", "regimes[].volatility"),
    *("jumps.mean", "jumps.deviation", "volumeDeviation"),
    *("filter.above", "filter.below", "constraints[].min", "constraints[].max"),
    *("params[].values[]", "params[].from", "params[].to", "params[].step"),
)


def spec_rows(kind: str) -> list[dict[str, str]]:
    """The rows of the table of a spec, as a reader of the page sees them."""
    spec = page(kind).partition("\n## Spec\n")[2].partition("\n## Rules\n")[0]
    lines = [line for line in spec.splitlines() if line.startswith("| ")]
    rows = [f"{line[2:-2]} ".split(" | ") for line in lines]  # a sign of a cell's own is escaped
    assert tuple(cell.strip() for cell in rows[0]) == COLUMNS
    return [dict(zip(COLUMNS, (cell.strip() for cell in row), strict=True)) for row in rows[2:]]


def _has_fields(row: dict[str, str], rows: list[dict[str, str]]) -> bool:
    """Whether the fields below a field are in the table, each with an example of its own."""
    return any(each["field"].startswith(f"{row['field'].rstrip('`')}.") for each in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_has_an_example(kind: str) -> None:
    rows = spec_rows(kind)
    assert len(rows) > 50
    assert [row["field"] for row in rows if not row["example"] and not _has_fields(row, rows)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_quantity_has_a_unit(kind: str) -> None:
    numbers = [row for row in spec_rows(kind) if row["type"].split("]")[-1] in ("number", "integer", "time")]
    missing = [row["field"].strip("`") for row in numbers if not row["unit"]]
    assert [path for path in missing if not f".{path}".endswith(tuple(f".{end}" for end in WITHOUT_UNIT))] == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_cell_has_a_value_that_cannot_be_seen(kind: str) -> None:
    assert [row["field"] for row in spec_rows(kind) if any(gap in row["what it is"] for gap in (", ,", "of ,"))] == []
