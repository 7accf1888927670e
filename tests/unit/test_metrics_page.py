"""The names of the metrics follow Prometheus' conventions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from metrics_page.sections import OF_OPERATOR, SECTIONS, DescribedMetric, all_metrics
from tapedeck_common.metrics import render_metrics
from tapedeck_crds.json import Json
from tapedeck_operator.reconcile.resource_metrics import ResourceMetrics

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"tapedeck_(build|feed|replay|transform|backtest|recorder|sink|gateway|operator|resource)_[a-z_]+")
UNITS = re.compile(r"percent|_ms\b|_ms_|minutes|hours|_bars_per|per_second|messages_lag|milliseconds")
OF_A_MONITOR = {"job", "instance", "kind", "namespace", "name", "pod", "container", "service", "endpoint", "shard"}
FREE_TEXT = {"error", "message", "text", "path", "url", "symbol", "client", "user"}


@pytest.mark.parametrize("metric", all_metrics().values(), ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: DescribedMetric) -> None:
    assert NAME.fullmatch(metric.name)
    assert not UNITS.search(metric.name)
    assert (metric.type == "counter") == metric.name.endswith("_total")
    assert not metric.name.endswith("_created")
    if "timestamp" in metric.name:
        assert metric.name.endswith("_timestamp_seconds")
    assert metric.type != "histogram" or metric.name.endswith("_seconds")
    assert metric.about.endswith("."), "a sentence"
    assert not FREE_TEXT & set(metric.labels)


def test_labels_leave_room_for_those_of_a_monitor() -> None:
    """A monitor that finds its own labels taken calls them exported_…: only the operator tells of other objects."""
    for section in SECTIONS:
        for metric in section.metrics():
            assert section in OF_OPERATOR or not OF_A_MONITOR & set(metric.labels), metric.name


def test_a_name_has_one_meaning() -> None:
    meanings = {(each.name, each.about) for section in SECTIONS for each in section.metrics()}
    assert len(meanings) == len({name for name, _ in meanings})


def test_no_series_tells_when_it_was_created() -> None:
    all_metrics()
    assert b"_created" not in render_metrics()


def test_every_module_with_metrics_is_on_the_page() -> None:
    """What a module registers when it is imported; collectors are made by the workloads that these tests name."""
    rooms = [ROOT / "workloads", ROOT / "operator"]
    made = re.compile(r"^\w+ = (?:Counter|Gauge|Histogram|LateGauge|counter_by)\(", re.MULTILINE)
    files = [path for room in rooms for path in room.rglob("tapedeck_*/**/*.py") if made.search(path.read_text())]
    known = {Path(module.__file__ or "").resolve() for section in SECTIONS for module in section.modules}
    assert {path.resolve() for path in files} <= known
    assert len(files) > 10


STATUS: Json = {
    "phase": "Complete", "bars": 10, "trades": 2, "errors": 8, "refusedRows": 3, "duplicates": 4, "gaps": 1,
    "startedAt": "2024-01-01T00:00:10Z", "finishedAt": "2024-01-01T00:01:00Z", "progress": "3/4",
    "conditions": [{"type": "Finished", "status": "True", "reason": "Complete"}],
}  # fmt: skip
CREATED = 1_704_067_200.0  # 2024-01-01T00:00:00Z


def metadata(name: str) -> Json:
    return {"namespace": "n", "name": name, "uid": f"u-{name}", "creationTimestamp": "2024-01-01T00:00:00Z"}


class Shown:
    """What a scrape shows of these resources of one kind."""

    def __init__(self, kind: str, *documents: Json) -> None:
        self._kind = kind
        self._registry = CollectorRegistry()
        self._registry.register(ResourceMetrics(lambda each: list(documents) if each == kind else []))

    def __call__(self, metric: str, name: str, **labels: str) -> float | None:
        labels = {"kind": self._kind, "namespace": "n", "name": name, **labels}
        return self._registry.get_sample_value(f"tapedeck_resource_{metric}", labels)


def test_a_feed_is_told_by_its_status() -> None:
    shown = Shown("Feed", {"metadata": metadata("f"), "status": STATUS}, {"metadata": metadata("new")})
    assert shown("phase", "f", phase="Complete") == 1
    assert shown("phase", "f", phase="Running") is None
    assert shown("condition", "f", condition="Finished", status="true", reason="Complete") == 1
    assert shown("info", "f", uid="u-f") == 1
    assert shown("rows_total", "f", result="taken") == 12
    assert shown("rows_total", "f", result="refused") == 3
    assert shown("duplicates_total", "f") == 4
    assert shown("gaps_total", "f") == 1
    assert shown("late_trades_total", "f") is None
    assert shown("progress_ratio", "f") == 0.75
    assert shown("creation_timestamp_seconds", "f") == CREATED
    assert shown("start_timestamp_seconds", "f") == CREATED + 10
    assert shown("finish_timestamp_seconds", "f") == CREATED + 60
    assert shown("phase", "new", phase="Pending") == 1
    assert shown("rows_total", "new", result="refused") == 0
    assert shown("progress_ratio", "new") is None


def test_a_replay_and_a_backtest_have_their_own_numbers() -> None:
    position = {"position": "2024-01-01T00:00:01.500Z", "published": 7, "progress": "7/?"}
    replay = Shown("Replay", {"metadata": metadata("r"), "status": position})
    assert replay("position_timestamp_seconds", "r") == CREATED + 1.5
    assert replay("rows_total", "r", result="taken") == 7
    assert replay("progress_ratio", "r") is None
    result = {"value": 900.0, "returnPercent": -10.0, "maxDrawdownPercent": 25.0, "trades": 3, "progress": "9/10"}
    backtest = Shown("Backtest", {"metadata": metadata("b"), "spec": {}, "status": result})
    assert backtest("account_value", "b") == 900
    assert backtest("return_ratio", "b") == pytest.approx(-0.1)
    assert backtest("max_drawdown_ratio", "b") == pytest.approx(0.25)
    assert backtest("closed_trades_total", "b") == 3
    assert backtest("trials_total", "b") is None
    spec = {"sweep": {"shards": 2}}
    sweep = Shown("Backtest", {"metadata": metadata("s"), "spec": spec, "status": {"progress": "9/10"}})
    assert (sweep("trials_total", "s"), sweep("expected_trials", "s")) == (9, 10)


def test_a_status_that_someone_else_wrote_does_not_end_the_scrape() -> None:
    odd = {"progress": 3, "startedAt": "soon", "duplicates": "many", "position": None}
    shown = Shown("Feed", {"metadata": metadata("f"), "status": odd})
    assert shown("phase", "f", phase="Pending") == 1
    assert shown("start_timestamp_seconds", "f") is None
