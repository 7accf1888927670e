"""Prometheus metrics of the resources, from their statuses: a short Job's own metrics may never be scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS

_LABELS = ("kind", "namespace", "name")
# The fields of the status whose sum is the number of rows.
_TAKEN = {"Feed": ("bars", "trades", "tickers"), "Replay": ("published",), "Backtest": ("bars",)}
_REFUSED = {"Feed": ("errors",)}


class ResourceMetrics(Collector):
    """``tapedeck_resource_*``; ``documents`` returns the resources of a kind."""

    def __init__(self, documents: Callable[[str], list[Json]]) -> None:
        self._documents = documents

    def collect(self) -> Iterator[Metric]:
        """The phase of each resource, and the rows that it took and refused."""
        phase = GaugeMetricFamily(
            "tapedeck_resource_phase", "1 for the phase that a resource is in.", labels=(*_LABELS, "phase")
        )
        rows = CounterMetricFamily(
            "tapedeck_resource_rows",
            "Rows taken and refused: a Feed's records, a Replay's bars or trades, the bars of a Backtest.",
            labels=(*_LABELS, "result"),
        )
        for kind in KINDS:
            for document in self._documents(kind):
                metadata, status = document["metadata"], document.get("status") or {}
                labels = [kind, metadata["namespace"], metadata["name"]]
                phase.add_metric([*labels, status.get("phase") or "Pending"], 1)
                rows.add_metric([*labels, "taken"], _sum(status, _TAKEN[kind]))
                if kind in _REFUSED:
                    rows.add_metric([*labels, "refused"], _sum(status, _REFUSED[kind]))
        yield from (phase, rows)


def _sum(status: Json, fields: tuple[str, ...]) -> int:
    return sum(status.get(field) or 0 for field in fields)
