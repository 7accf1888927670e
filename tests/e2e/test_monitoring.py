"""A Prometheus that scrapes the pods of a release by the chart's monitors, and evaluates its rules and dashboards."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from charts.dashboards import as_promql, expressions
from charts.promql import metrics_of
from decks.runs import replay
from kube.monitors import KINDS, definition, endpoint_targets, pod_targets, scrape_configs
from kube.operator import Things
from release import BUNDLED, Deck, external_values, install, kubectl
from stores import debian
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.ports import free_port
from waits import eventually

HOST = os.environ.get("TAPEDECK_E2E_HOST", "")  # an address of this machine that pods can reach
pytestmark = pytest.mark.skipif(
    not HOST or BUNDLED, reason="this machine reaches no pods: TAPEDECK_E2E_HOST; or the vendor's operator is there"
)
INTERVAL = "5s"
JOBS = {"operator", "recorder", "gateway", "replay", "transform", "backtest"}
ATTEMPTS = 24
WITHOUT_ROWS = {"replay: Transforms: delay"}  # of the transforms of Feeds: this release has one of a Replay


@dataclass
class Monitored:
    """A release with monitors, and the Prometheus that a Prometheus operator would configure by them."""

    deck: Deck
    folder: Path
    port: int = 0

    def discover(self) -> None:
        """Write what discovery finds now; Prometheus reads the files when they change."""
        found = {
            "pods": pod_targets(_items("pods")),
            "endpoints": endpoint_targets(_items("services"), _items("endpoints")),
        }
        for name, targets in found.items():
            new = self.folder / f"{name}.new"
            new.write_text(json.dumps(targets))
            new.rename(self.folder / f"{name}.json")

    def configure(self) -> Path:
        """Write the configuration that follows from the monitors and rules of the release."""
        monitors = [*self._made("PodMonitor"), *self._made("ServiceMonitor")]
        assert {each["kind"] for each in monitors} == {"PodMonitor", "ServiceMonitor"}
        groups = [group for rule in self._made("PrometheusRule") for group in rule["spec"]["groups"]]
        assert groups
        (self.folder / "rules.json").write_text(json.dumps({"groups": groups}))
        files = (str(self.folder / f"{name}.json") for name in ("pods", "endpoints"))
        configuration = {
            "global": {"evaluation_interval": INTERVAL},
            "rule_files": [str(self.folder / "rules.json")],
            "scrape_configs": scrape_configs(monitors, *files),
        }
        path = self.folder / "prometheus.json"
        path.write_text(json.dumps(configuration))
        return path

    def query(self, expression: str) -> list[Json]:
        answer = self.get("query", query=expression)
        assert answer["status"] == "success", (expression, answer)
        rows: list[Json] = answer["data"]["result"]
        return rows

    def get(self, what: str, **parameters: str) -> Json:
        answer: Json = self._answer(f"api/v1/{what}", parameters).json()
        return answer

    def ready(self) -> bool:
        """Whether it has read its rules and answers queries: until then it refuses connections, or answers 503."""
        try:
            return self._answer("-/ready", {}).is_success
        except httpx.TransportError:
            return False

    def _answer(self, path: str, parameters: dict[str, str]) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}/{path}", params=parameters, timeout=30, trust_env=False)

    def _made(self, kind: str) -> list[Json]:
        found: list[Json] = json.loads(kubectl("-n", self.deck.namespace, "get", KINDS[kind], "-o", "json"))["items"]
        return found


def _items(plural: str) -> list[Json]:
    found: list[Json] = json.loads(kubectl("get", plural, "-A", "-o", "json"))["items"]
    return found


@pytest.fixture(scope="module")
def monitored(deck: Deck, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """The release with its monitors and alerts, while a Replay with a transform and a Backtest on it run."""
    kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [*map(definition, KINDS)]})
    )
    for plural in KINDS.values():
        kubectl("wait", "--for=condition=Established", f"crd/{plural}.monitoring.coreos.com", "--timeout=60s")
    values = external_values(deck.services)
    values["metrics"] = {
        "podMonitor": {"enabled": True, "interval": INTERVAL},
        "serviceMonitor": {"enabled": True, "interval": INTERVAL},
        "alerts": {"enabled": True},
    }
    values["networkPolicies"] = {"metricsFrom": [{"ipBlock": {"cidr": f"{HOST}/32"}}]}
    install(deck.namespace, values)
    things = deck.things()
    made = [_tape(things), _trader(things)]
    monitored = Monitored(deck, tmp_path_factory.mktemp("prometheus"), free_port())
    monitored.discover()
    program = debian.unpacked("prometheus") / "usr" / "bin" / "prometheus"
    process = processes.start(
        [
            str(program), f"--config.file={monitored.configure()}", f"--storage.tsdb.path={monitored.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{monitored.port}",
        ],
        log=monitored.folder / "log",
    )  # fmt: skip
    try:
        eventually(monitored.ready, 120, what="Prometheus to be ready")
        eventually(lambda: _up(monitored) >= JOBS, 120)
        yield monitored
    finally:
        processes.stop(process, grace=10)
        for each in made:
            things.delete(each)


def _tape(things: Things) -> Json:
    return replay(things, "tape", speed=60.0, transforms=[{"name": "mean", "sma": {"over": 3}}])


def _trader(things: Things) -> Json:
    strategy = {"builtin": "sma-cross", "params": {"fast": 2, "slow": 3}}
    return things.resource("Backtest", "trader", {"strategy": strategy, "data": {"replay": {"name": "tape"}}})


def _up(monitored: Monitored) -> set[str]:
    """The jobs of which every target answers."""
    monitored.discover()
    rows = monitored.query("min by (job) (up)")
    return {row["metric"]["job"] for row in rows if row["value"][1] == "1"}


def test_the_monitors_find_every_pod_and_name_its_resource(monitored: Monitored) -> None:
    own = {"kind": "Replay", "namespace": monitored.deck.namespace, "name": "tape"}
    (published,) = monitored.query(f'tapedeck_replay_records_total{{name="tape",namespace="{own["namespace"]}"}}')
    assert own.items() <= published["metric"].items()
    assert (published["metric"]["job"], published["metric"]["shard"]) == ("replay", "0")
    (points,) = monitored.query('tapedeck_transform_points_total{name="tape"}')
    assert (points["metric"]["job"], points["metric"]["kind"]) == ("transform", "Replay")
    running = 'tapedeck_resource_phase{kind="Backtest",name="trader",phase="Running"} == 1'
    eventually(lambda: [row["metric"]["namespace"] for row in monitored.query(running)] == [own["namespace"]], 60)
    pods = {each["metadata"]["name"] for each in _items("pods") if each["metadata"]["namespace"] == own["namespace"]}
    assert {row["metric"]["pod"] for row in monitored.query("up")} <= pods


def test_every_expression_of_dashboards_is_answered_with_rows(monitored: Monitored) -> None:
    """Rows are expected where the release has the series: not of a broker or exporter that it does not bring."""
    panels = {each.place: each.text for each in expressions("promql")}
    for _ in range(ATTEMPTS):  # a rate needs two scrapes
        monitored.discover()
        known = set(monitored.get("label/__name__/values")["data"])
        rows = {place: monitored.query(as_promql(text)) for place, text in panels.items()}
        empty = {place for place in panels if not rows[place] and metrics_of(panels[place]) <= known}
        if empty <= WITHOUT_ROWS:
            break
        time.sleep(5)
    assert empty <= WITHOUT_ROWS
    assert len([place for place in panels if rows[place]]) > len(panels) // 2


def test_the_rules_are_healthy_and_no_alert_fires(monitored: Monitored) -> None:
    groups = monitored.get("rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 15
    assert {rule["health"] for rule in rules} == {"ok"}
    firing = [row["metric"] for row in monitored.query('ALERTS{alertstate="firing"}')]
    assert firing == []
