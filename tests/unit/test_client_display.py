"""What notebooks show: valid SVG and HTML that load nothing from elsewhere and take text as text."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest

from tapedeck import errors
from tapedeck.display.chart import HEIGHT, WIDTH, Chart, percent_changes
from tapedeck.display.html import facts_html, text_of
from tapedeck.display.progress import ProgressLine, is_interactive
from tapedeck.table import MarketTable

FIRST = 1_522_800_000_000
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>&\"'"


def drawn(chart: Chart) -> list[list[tuple[float, float]]]:
    """The points of each line."""
    lines = ElementTree.fromstring(chart.svg).findall(f"{SVG}polyline")
    return [[tuple(map(float, point.split(","))) for point in line.attrib["points"].split()] for line in lines]  # type: ignore[misc]


def test_a_chart_keeps_within_its_frame_and_shows_the_extremes_of_long_lines() -> None:
    times = [FIRST + n * 60_000 for n in range(50_000)]
    values: list[float | None] = [math.sin(n / 100) for n in range(50_000)]
    values[12_345], values[40_000] = 9.0, -9.0
    (line,) = drawn(Chart.of_columns("long", [("a", times, values)]))
    assert len(line) <= 700
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)
    highest, lowest = min(line, key=lambda point: point[1]), max(line, key=lambda point: point[1])
    inner = line[-1][0] - line[0][0]
    assert (highest[0] - line[0][0]) / inner == pytest.approx(12_345 / 49_999, abs=0.001)
    assert (lowest[0] - line[0][0]) / inner == pytest.approx(40_000 / 49_999, abs=0.001)


@pytest.mark.parametrize(
    "values", [[], [1.0], [None, None], [math.nan, 1.0], [5.0, 5.0], [0.0, 0.0], [-1e300, 1e300], [math.inf, 2.0]]
)
def test_a_chart_of_any_values_is_valid(values: list[float | None]) -> None:
    chart = Chart.of_columns("some", [("a", [FIRST + n for n in range(len(values))], values)])
    assert "nan" not in chart.svg.lower().replace("tabular-nums", "")
    drawn(chart)


def test_text_is_escaped() -> None:
    chart = Chart.of_columns(HOSTILE, [(HOSTILE, [FIRST], [1.0]), ("b", [FIRST], [2.0])])
    table = MarketTable(pa.table({HOSTILE: [HOSTILE]}), HOSTILE)
    for text in (chart.svg, facts_html(HOSTILE, {HOSTILE: HOSTILE}), table._repr_html_()):
        assert "<script" not in text
        assert not re.search(r"""(?:href|src|url\()""", text)


def test_a_table_shows_its_ends_and_a_chart() -> None:
    opens = pa.array([FIRST + n * 86_400_000 for n in range(100)], pa.timestamp("ms", tz="UTC"))
    table = MarketTable(pa.table({"ts": opens, "close": [float(n) for n in range(100)]}), "bars")
    text = table._repr_html_()
    assert text.count("<tr>") == 1 + 10 + 1 and "2018-04-04" in text and "2018-07-12" in text and "<svg" in text
    assert repr(table) == "bars: 100 rows of ts, close"
    assert "<svg" not in MarketTable(pa.table({"a": [1, 2]}))._repr_html_()


STAMPS = pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    "times",
    [
        pa.array(["2018-04-04", "2018-04-05"]),
        pa.array(["yesterday", None]),
        pa.array(["2018-04-04", "2018-04-05"]).cast(pa.date32()),
        pa.array([FIRST * 1000 + 1, FIRST * 1000 + 2], STAMPS),
        pa.array([2**62, -(2**62)], STAMPS),  # beyond Python's calendar
        pa.array([1.5, 2.5]),
        pa.array([[1], [2]]),
        pa.array([None, None]),
    ],
)
@pytest.mark.parametrize("values", [[1.0, 2.0], ["1.25", "2.5"], ["a", "b"], [{"a": 1}, None]])
def test_a_table_of_any_values_is_shown(times: pa.Array, values: list[Any]) -> None:
    table = MarketTable(pa.table({"ts": times, "close": values}), times=())
    text = table._repr_html_()
    assert text.count("<tr>") == 3
    dates = pa.types.is_temporal(times.type)
    assert ("<svg" in text) == (dates or pa.types.is_null(times.type)) * (values[0] in (1.0, "1.25"))


def test_columns_of_one_name_are_shown_and_not_confused() -> None:
    table = MarketTable(pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4])], ["ts", "ts"]), times=())
    assert re.findall(r">(\d)<", table._repr_html_()) == ["1", "3", "2", "4"]
    with pytest.raises(errors.BadRequest, match="'ts', expected the name of one column; 2 have it"):
        _ = table["ts"]


def test_rows_in_any_order_are_drawn_in_that_of_time() -> None:
    table = MarketTable(
        pa.table({"ts": pa.array([FIRST * 1000 + 1000, None, FIRST * 1000], STAMPS), "value": [1.0, 2.0, 3.0]})
    )
    assert [line[2] for line in table.plot().lines] == [[3.0, 1.0]]


def test_values_of_several_kinds_are_texts() -> None:
    rows: list[dict[str, Any]] = [{"fast": 5, "a": 1}, {"fast": "auto", "a": 2.5}, {"a": None}]
    table = MarketTable.from_rows(rows)
    assert (table["fast"].to_pylist(), table["a"].to_pylist()) == (["5", "auto", None], [1.0, 2.5, None])


def test_a_chart_of_several_symbols_has_a_line_for_each() -> None:
    opens = pa.array([FIRST, FIRST, FIRST + 1, FIRST + 1], pa.timestamp("ms", tz="UTC"))
    table = MarketTable(pa.table({"symbol": ["a", "b", "a", "b"], "ts": opens, "close": [1.0, 5.0, 2.0, 6.0]}))
    assert [(name, values) for name, _, values in table.plot().lines] == [("a", [1.0, 2.0]), ("b", [5.0, 6.0])]


def test_a_chart_is_saved(tmp_path: Path) -> None:
    path = Chart.of_columns("a", [("a", [FIRST], [1.0])]).save(tmp_path / "a.svg")
    assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"


def test_values_for_people() -> None:
    assert [text_of(value) for value in (None, 1234567, 1234.5678, 0.123456789, True)] == [
        "–", "1,234,567", "1,234.57", "0.123457", "True",
    ]  # fmt: skip


def test_changes_in_percent() -> None:
    assert percent_changes([None, 50.0, 75.0, None, 25.0]) == [None, 0.0, 50.0, None, -50.0]
    assert percent_changes([0.0, None]) == [None, None]


def test_a_progress_line_writes_nothing_into_files(capsys: pytest.CaptureFixture[str]) -> None:
    for shown in (None, True):
        line = ProgressLine("run", shown=shown)
        line.update(1, 4)
        line.end("complete")
        assert ("1/4" in capsys.readouterr().err) == (shown is True)


def test_a_process_that_only_loaded_a_kernels_package_is_no_notebook() -> None:
    import ipykernel
    import IPython

    assert ipykernel and IPython.get_ipython() is None
    assert is_interactive() == sys.stderr.isatty()
