"""Panels of the dashboards as pictures for the documentation: their own statements on a deck, without Grafana."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from charts.dashboards import as_sql, statement
from tapedeck.display.chart import Chart
from tapedeck_deck.embedded.state_dir import StateDir

START, END = "2018-04-04T00:00:00Z", "2018-04-07T00:00:00Z"  # of the sample data
MARKET = {"exchange": "coinbase", "product": "BTC/USD", "interval": "15m"}


@dataclass(frozen=True)
class PanelPicture:
    """A panel, the columns of its statement that are drawn, and the values of its variables."""

    place: str
    columns: tuple[str, ...]
    values: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        return self.place.replace(": ", "-").replace(" ", "-").lower() + ".svg"


def panels(run_id: str) -> tuple[PanelPicture, ...]:
    """What is drawn: the market, and this run."""
    run = {"run": run_id}
    return (
        PanelPicture("market: Timeline", ("close",), MARKET),
        PanelPicture("market: Candles", ("high", "close", "low"), MARKET),
        PanelPicture("market: Volume", ("volume",), MARKET),
        PanelPicture("backtest: Equity", ("value", "cash"), run),
        PanelPicture("backtest: Drawdown", ("drawdown",), run),
        PanelPicture("backtest: Profit of closed trades", ("profit",), run),
    )


def draw_panels(home: Path, run_id: str, folder: Path) -> None:
    """Write the picture of each panel."""
    folder.mkdir(parents=True, exist_ok=True)
    dsn = (StateDir(home).migrate / "store_dsn").read_text().strip()
    with psycopg.connect(dsn) as connection:
        for panel in panels(run_id):
            found = connection.execute(as_sql(statement(panel.place), START, END, panel.values))
            names = [column.name for column in found.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in found]
            times = [round(row["time"].timestamp() * 1000) for row in rows]
            lines = [(name, times, [_number(row[name]) for row in rows]) for name in panel.columns]
            # A picture has no colours of the page around it.
            svg = Chart.of_columns(panel.place, lines).svg.replace('style="', 'style="background:#fff;', 1)
            (folder / panel.file).write_text(svg)


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
