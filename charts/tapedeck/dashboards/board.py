"""A dashboard of rows of panels, with what all of them share: links, refresh, and that it is changed here alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from urllib.parse import quote

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardCursorSync, DashboardLinkType, GridPos
from grafana_foundation_sdk.models.prometheus import Dataquery as PrometheusQuery

from dashboards.panels import PanelBuilder
from dashboards.queries import SqlQuery
from dashboards.variables import Variable

WIDTH = 24
TAG = "tapedeck"
REFRESH = "5s"
# Grafana replaces the variable, so its dollar and braces stay as they are.
_LOG_QUERY = (
    '{"logs":{"datasource":"@logs@","queries":[{"refId":"A","expr":"{namespace=~\\"%s\\"}"}],'
    '"range":{"from":"%s","to":"%s"}}}'
)
LOGS = "/explore?schemaVersion=1&panes=" + quote(_LOG_QUERY, safe="@").replace("%25s", "{}").format(
    "${namespace:regex}", "${__from}", "${__to}"
)


@dataclass(frozen=True)
class PanelRow:
    """Panels beside one another. ``widths`` in columns, of which there are 24; equal ones if empty."""

    height: int
    panels: Sequence[PanelBuilder]
    widths: Sequence[int] = ()

    def places(self, y: int) -> list[GridPos]:
        """Where each panel is."""
        widths = self.widths or [WIDTH // len(self.panels)] * len(self.panels)
        return [GridPos(x=sum(widths[:number]), y=y, w=width, h=self.height) for number, width in enumerate(widths)]


def row(height: int, *panels: PanelBuilder, widths: Sequence[int] = ()) -> PanelRow:
    """Panels beside one another."""
    return PanelRow(height, panels, widths)


def board(
    name: str,
    title: str,
    about: str,
    variables: Sequence[Variable],
    rows: Sequence[PanelRow],
    *,
    period: tuple[str, str] = ("now-1h", "now"),
    refresh: str = REFRESH,
    logs: bool = False,
) -> Dashboard:
    """The dashboard with the uid ``tapedeck-<name>``. ``logs``: it has a link to those of ``$namespace``."""
    made = dashboard.Dashboard(f"Tapedeck: {title}").uid(f"{TAG}-{name}").description(about).tags([TAG]).readonly()
    made = made.refresh(refresh).time(*period).timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    made = made.variables(list(variables)).link(_others()).link(_link("Page", "@page@", "external link"))
    if logs:
        made = made.link(_link("Logs", LOGS, "doc"))
    document = made.build()
    document.panels = []
    y = 0
    for each in rows:
        for panel, place in zip(each.panels, each.places(y), strict=True):
            built = panel.build()
            built.id_val, built.grid_pos = len(document.panels) + 1, place
            for number, target in enumerate(built.targets or []):
                assert isinstance(target, PrometheusQuery | SqlQuery)
                target.ref_id = ascii_uppercase[number]
            document.panels.append(built)
        y += each.height
    return document


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Dashboards").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).keep_time(True).include_vars(False)


def _link(title: str, url: str, icon: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url).icon(icon).target_blank(True)
