"""Two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pyarrow as pa

from tapedeck.display.chart import Chart, LineData, percent_changes
from tapedeck.display.html import rows_html
from tapedeck.table import MarketTable

Compared: TypeAlias = tuple[str, Mapping[str, float | None], MarketTable]
"""A run's name, metrics and equity curve."""


class ComparedRuns:
    """Two runs: ``table`` has each metric of both and their difference (second minus first), ``plot()`` both curves."""

    def __init__(self, first: Compared, second: Compared) -> None:
        self.names = (first[0], second[0] if second[0] != first[0] else f"{second[0]} (2)")
        self._runs = (first, second)
        metrics = list({**first[1], **second[1]})
        values = [(first[1].get(name), second[1].get(name)) for name in metrics]
        self.table = MarketTable(
            pa.table(
                {
                    "metric": pa.array(metrics, pa.string()),
                    self.names[0]: pa.array([a for a, _ in values], pa.float64()),
                    self.names[1]: pa.array([b for _, b in values], pa.float64()),
                    "difference": pa.array(
                        [None if a is None or b is None else b - a for a, b in values], pa.float64()
                    ),
                }
            ),
            " and ".join(self.names),
        )

    def plot(self) -> Chart:
        """Both equity curves as changes since their start, percent."""
        return Chart.of_columns(f"{self.table.title}, percent", [self._line(number) for number in (0, 1)])

    def _line(self, number: int) -> LineData:
        equity = self._runs[number][2].arrow
        times = equity["ts"].cast(pa.int64()).to_pylist()
        return self.names[number], times, percent_changes(equity["value"].to_pylist())

    def __repr__(self) -> str:
        rows = self.table.to_rows()
        width = max((len(row["metric"]) for row in rows), default=0)
        lines = [f"{'':<{width}}  {self.names[0]:>16}  {self.names[1]:>16}  {'difference':>16}"]
        for row in rows:
            cells = [row[name] for name in (*self.names, "difference")]
            shown = "  ".join(f"{'–' if value is None else format(value, '.6g'):>16}" for value in cells)
            lines.append(f"{row['metric']:<{width}}  {shown}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [list(row.values()) for row in self.table.to_rows()]
        return self.plot().svg + rows_html(self.table.title, self.table.columns, rows)
