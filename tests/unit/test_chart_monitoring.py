"""Dashboards and alerts query existing metrics only."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

import tapedeck_gateway.routes.websocket
import tapedeck_gateway.topics.topic_reader
import tapedeck_operator.cluster.metrics
import tapedeck_operator.reconcile.metrics
import tapedeck_recorder.metrics
import tapedeck_replay.metrics
from charts import dashboards
from charts.promql import labels_of, metrics_of
from tapedeck_backtest.report.gauges import RunGauges
from tapedeck_crds.json import Json
from tapedeck_crds.report import BacktestReport
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.stats import FeedStats
from tapedeck_operator.reconcile.resource_metrics import ResourceMetrics

MODULES: list[ModuleType] = [
    tapedeck_gateway.routes.websocket,
    tapedeck_gateway.topics.topic_reader,
    tapedeck_operator.cluster.metrics,
    tapedeck_operator.reconcile.metrics,
    tapedeck_recorder.metrics,
    tapedeck_replay.metrics,
]
ALERTS = Path(__file__).parents[2] / "charts/tapedeck/files/alerts.yaml"
RESOURCES: list[Json] = [
    {
        "metadata": {"namespace": "n", "name": "f"},
        "status": {"phase": "Complete", "bars": 10, "trades": 2, "errors": 3},
    },
    {"metadata": {"namespace": "n", "name": "new"}},
]
OF_THE_POD = {"namespace", "pod", "le"}  # from the PodMonitor; from histograms


def registered() -> dict[str, set[str]]:
    """The labels of each series, by its name."""
    families: list[tuple[Metric, set[str]]] = []
    for module in MODULES:
        made = [value for value in vars(module).values() if isinstance(value, MetricWrapperBase)]
        families += [(next(iter(metric.describe())), set(metric._labelnames)) for metric in made]
    report = BacktestReport(state="running", value=1.0, return_percent=1.0, max_drawdown_percent=1.0)
    for collector in (
        ImportStats(),
        FeedStats(clock_skew_ms=1),
        RunGauges(lambda: report),
        tapedeck_replay.metrics.LATENESS,
        ResourceMetrics(lambda kind: RESOURCES if kind == "Feed" else []),
    ):
        families += [(family, set(getattr(family, "_labelnames", ()))) for family in collector.collect()]
    endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + ending: labels for family, labels in families for ending in endings[family.type]}


def test_resources_have_their_phase_and_their_rows() -> None:
    registry = CollectorRegistry()
    registry.register(ResourceMetrics(lambda kind: RESOURCES if kind == "Feed" else []))
    names = {"kind": "Feed", "namespace": "n", "name": "f"}
    assert registry.get_sample_value("tapedeck_resource_phase", names | {"phase": "Complete"}) == 1
    assert registry.get_sample_value("tapedeck_resource_phase", names | {"phase": "Running"}) is None
    assert registry.get_sample_value("tapedeck_resource_rows_total", names | {"result": "taken"}) == 12
    assert registry.get_sample_value("tapedeck_resource_rows_total", names | {"result": "refused"}) == 3
    fresh = names | {"name": "new"}
    assert registry.get_sample_value("tapedeck_resource_phase", fresh | {"phase": "Pending"}) == 1
    assert registry.get_sample_value("tapedeck_resource_rows_total", fresh | {"result": "refused"}) == 0


def expressions() -> list[tuple[str, str]]:
    found = []
    for path in dashboards.FILES:
        document = dashboards.read(path)
        found += [(f"{path.stem}: {panel}", expr) for panel, expr in dashboards.queries(document, "expr")]
        found += [(f"{path.stem}: ${name}", query) for name, query in dashboards.variables(document, "prometheus")]
    for group in yaml.load(ALERTS.read_text(), yaml.CSafeLoader)["groups"]:
        found += [(rule["alert"], rule["expr"]) for rule in group["rules"]]
    return found


def test_the_scanner_finds_names() -> None:
    expression = 'sum by (a, le) (rate(x_total{b="c(d)", e=~"$e"}[5m])) or vector(0) > 1e3 + y_bucket * 2'
    assert metrics_of(expression) == {"x_total", "y_bucket"}
    assert labels_of(expression) == {"a", "le", "b", "e"}
    assert metrics_of('label_values(x{n=~"$n"}, pod)') == {"x"}


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=lambda value: str(value)[:40])
def test_each_expression_queries_registered_metrics(where: str, expression: str) -> None:
    known = registered()
    names = metrics_of(expression)
    assert names, where
    assert names <= set(known), f"{where}: {names - set(known)}"
    labels = OF_THE_POD.union(*(known[name] for name in names))
    assert labels_of(expression) <= labels, f"{where}: {labels_of(expression) - labels}"


def test_each_metric_is_shown_except_details() -> None:
    shown = set().union(*(metrics_of(expression) for _, expression in expressions()))
    left = {name for name in registered() if not name.endswith(("_sum", "_count"))} - shown
    assert left == {
        "tapedeck_recorder_batches_total",
        "tapedeck_feed_duplicates_total",
        "tapedeck_feed_errors_total",
        "tapedeck_feed_files_total",
        "tapedeck_feed_recovered_total",
        "tapedeck_feed_clock_skew_seconds",
        "tapedeck_feed_latency_seconds_bucket",
        "tapedeck_backtest_trades_total",
        "tapedeck_backtest_return_percent",
        "tapedeck_backtest_max_drawdown_percent",
    }


@pytest.mark.parametrize("path", dashboards.FILES, ids=lambda path: path.stem)
def test_panels_fit_and_name_their_data_sources(path: Path) -> None:
    document = dashboards.read(path)
    names = {variable["name"] for variable in document["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel["targets"]:
            assert target["datasource"]["uid"] in {"${prometheus}", "${store}"}
            used = re.findall(r"\$\{?([a-z]\w*)", target.get("expr", target.get("rawSql", "")))
            assert set(used) <= names, panel["title"]
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


def test_the_alerts_are_the_documented_ones() -> None:
    rules = {rule["alert"]: rule for rule in yaml.load(ALERTS.read_text(), yaml.CSafeLoader)["groups"][0]["rules"]}
    assert set(rules) == {
        "TapedeckRecorderDown",
        "TapedeckRecorderMissing",
        "TapedeckRecorderBehind",
        "TapedeckSinkUnreachable",
        "TapedeckRowsRefused",
        "TapedeckRecorderRejects",
        "TapedeckResourceFailed",
        "TapedeckOperatorWatchSilent",
        "TapedeckOperatorWatchesStall",
        "TapedeckOperatorBehind",
        "TapedeckReplayLate",
        "TapedeckReplayStandsStill",
    }
    assert all(rule["labels"]["severity"] in ("warning", "critical") for rule in rules.values())
    assert all({"summary", "description"} <= set(rule["annotations"]) for rule in rules.values())
