"""Panels of one look. Each has a title, a description and a unit of Grafana's list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import candlestick, common, dashboard, stat, table, timeseries, trend
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.candlestick import CandleStyle, VizDisplayMode
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

from dashboards.queries import METRICS, STORE, SqlQuery

PanelBuilder = Builder[Panel]
Links = Mapping[str, tuple[str, str]]
"""Column → the title and the address of the link of its cells."""
REACHED = {-1: "no gateway", 0: "down", 1: "up"}
"""What `tapedeck_gateway_dependency_up` means; -1 stands for no sample of it."""


def lines(title: str, about: str, unit: str, *queries: Builder[Dataquery], stacked: bool = False) -> PanelBuilder:
    """Series over the time range of the dashboard."""
    panel = timeseries.Panel().title(title).description(about).unit(unit).targets(list(queries))
    panel = panel.datasource(_source_of(queries)).legend(_legend()).tooltip(_tooltip())
    panel = panel.fill_opacity(20 if stacked else 5).show_points(VisibilityMode.AUTO).line_width(1)
    return panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)) if stacked else panel


def columns(title: str, about: str, unit: str, *queries: Builder[Dataquery]) -> PanelBuilder:
    """Columns over the time range of the dashboard."""
    panel = timeseries.Panel().title(title).description(about).unit(unit).targets(list(queries))
    panel = panel.datasource(_source_of(queries)).legend(_legend()).tooltip(_tooltip())
    return panel.draw_style(GraphDrawStyle.BARS).fill_opacity(60).show_points(VisibilityMode.NEVER)


def curve(
    title: str, about: str, unit: str, x: str, x_unit: str, query: SqlQuery, *, points: bool = False
) -> PanelBuilder:
    """Numbers over another number, ``x``, whatever the time range of the dashboard."""
    panel = trend.Panel().title(title).description(about).unit(unit).targets([query]).datasource(STORE)
    panel = panel.x_field(x).legend(_legend()).tooltip(_tooltip()).line_width(1)
    panel = panel.draw_style(GraphDrawStyle.POINTS if points else GraphDrawStyle.LINE)
    return panel.override_by_name(x, [DynamicConfigValue(id_val="unit", value=x_unit)])


def candles(title: str, about: str, query: SqlQuery) -> PanelBuilder:
    """Candles with their volume, from the columns time, open, high, low, close and volume."""
    fields = candlestick.CandlestickFieldMap().open("open").high("high").low("low").close("close").volume("volume")
    panel = candlestick.Panel().title(title).description(about).unit("short").targets([query]).datasource(STORE)
    panel = panel.mode(VizDisplayMode.CANDLES_VOLUME).candle_style(CandleStyle.CANDLES).fields(fields)
    return panel.legend(_legend()).tooltip(_tooltip())


def kept(*variables: str) -> str:
    """The end of an address that passes the chosen values of variables on."""
    return "".join(f"&${{{name}:queryparam}}" for name in variables)


def value(
    title: str,
    about: str,
    unit: str,
    *queries: Builder[Dataquery],
    low: float | None = None,
    steps: Sequence[tuple[float, str]] = (),
    texts: Mapping[int, str] | None = None,
) -> PanelBuilder:
    """The latest value, red below ``low``.

    ``steps``: from which value on it has another colour. ``texts``: what is shown in place of a number.
    """
    panel = stat.Panel().title(title).description(about).unit(unit).targets(list(queries))
    panel = panel.datasource(_source_of(queries)).graph_mode(BigValueGraphMode.AREA)
    panel = panel.color_mode(BigValueColorMode.VALUE if steps or low is not None else BigValueColorMode.NONE)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    if texts is not None:
        panel = panel.mappings([ValueMap({str(number): ValueMappingResult(text) for number, text in texts.items()})])
    lowest = [(None, "green")] if low is None else [(None, "red"), (low, "green")]
    colours = [Threshold(value=at, color=name) for at, name in [*lowest, *steps]]
    return panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(colours))


def rows(
    title: str,
    about: str,
    query: Builder[Dataquery],
    *,
    units: Mapping[str, str] | None = None,
    links: Links | None = None,
    hidden: Sequence[str] = (),
) -> PanelBuilder:
    """A table. ``units`` of columns, ``links`` of their cells, and columns that only links use."""
    panel = table.Panel().title(title).description(about).unit("none").targets([query])
    panel = panel.datasource(_source_of([query])).filterable(True)
    for name, unit in (units or {}).items():
        panel = panel.override_by_name(name, [DynamicConfigValue(id_val="unit", value=unit)])
    for name, (text, address) in (links or {}).items():
        link = {"title": text, "url": address, "targetBlank": address.startswith("@page@")}
        panel = panel.override_by_name(name, [DynamicConfigValue(id_val="links", value=[link])])
    for name in hidden:
        panel = panel.override_by_name(name, [DynamicConfigValue(id_val="custom.hidden", value=True)])
    return panel


def alerts(title: str, about: str) -> PanelBuilder:
    """The alerts of Tapedeck that fire or are pending, from every data source."""
    options = {
        "viewMode": "list",
        "alertName": "Tapedeck",
        "sortOrder": 3,  # by time
        "maxItems": 50,
        "stateFilter": {"firing": True, "pending": True, "noData": True, "normal": False, "error": True},
    }
    return dashboard.Panel().type("alertlist").title(title).description(about).options(options)


def _source_of(queries: Sequence[Builder[Dataquery]]) -> DataSourceRef:
    return STORE if isinstance(queries[0], SqlQuery) else METRICS


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
