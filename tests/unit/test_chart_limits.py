"""Every pod that the chart creates, or lets the operator create, has limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from charts.rendered import EXTERNAL, HELM, SETS, find, render, template
from tapedeck_crds.json import Json
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.pod import Resources
from tapedeck_operator.plan import Observed, Settings, plan

LIMITED = {"cpu", "memory", "ephemeral-storage"}

pytestmark = pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")


@pytest.fixture(scope="module")
def everything() -> list[Json]:
    return render(SETS["everything"])


def pods(documents: list[Json]) -> Iterator[tuple[str, Json]]:
    """The specs of all pods, with the name of their owner."""
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] == "Pod":
            yield document["metadata"]["name"], spec
        elif document["kind"] in ("Deployment", "StatefulSet", "CronJob"):
            template = spec.get("jobTemplate", {}).get("spec", spec)["template"]
            yield document["metadata"]["name"], template["spec"]


def unlimited(name: str, spec: Json) -> list[str]:
    """What a pod may use without a limit."""
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    found = [
        f"{name}/{container['name']}: {', '.join(sorted(missing))}"
        for container in containers
        if (missing := LIMITED - container.get("resources", {}).get("limits", {}).keys())
    ]
    volumes = [volume for volume in spec.get("volumes", ()) if "emptyDir" in volume]
    return found + [f"{name}/{v['name']}: its size" for v in volumes if "sizeLimit" not in v["emptyDir"]]


def test_every_pod_of_the_chart_has_limits(everything: list[Json]) -> None:
    found = dict(pods(everything))
    assert found.keys() == {
        "td-operator", "td-recorder", "td-gateway", "td-timescaledb", "td-retention", "td-store-exporter", "td-test",
    }  # fmt: skip
    assert [what for name, spec in found.items() for what in unlimited(name, spec)] == []


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Feed", {"exchange": "binance", "symbols": ["A/B"], "transforms": [{"name": "a", "sma": {}}]}),
        ("Replay", {"source": {"store": {"exchange": "x", "symbols": ["A/B"]}}}),
        ("Backtest", {"strategy": {"builtin": "rsi"}, "data": {"store": {"exchange": "x", "symbols": ["A/B"]}}}),
    ],
)
def test_every_pod_of_a_run_has_limits(everything: list[Json], kind: str, spec: Json) -> None:
    (operator,) = find(everything, "Deployment", "td-operator")["spec"]["template"]["spec"]["containers"]
    told = next(v["value"] for v in operator["env"] if v["name"] == "TAPEDECK_OPERATOR_RESOURCES")
    resources = {workload: Resources.model_validate(given) for workload, given in json.loads(told).items()}
    settings = Settings(
        images=dict.fromkeys(resources, "i"), operator_key=b"k", results_key=b"results", resources=resources
    )
    document = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": {"name": "x", "uid": "u"}}
    made = plan(parse_resource({**document, "spec": spec}), Observed(), 0, settings).apply
    specs = [m["spec"]["template"]["spec"] for m in made if m["kind"] in ("Job", "Deployment")]
    assert len(specs) == (2 if "transforms" in spec else 1)
    assert [what for each in specs for what in unlimited(kind, each)] == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"feeds": {"limits": {"memory": "1Gi"}}}, "feeds"),
        ({"feed": {"limits": {"memory": "a lot"}}}, "does not match"),
        ({"feed": {"limit": {"memory": "1Gi"}}}, "limit"),
    ],
)
def test_misspelt_limits_are_rejected(wrong: dict[str, Any], said: str) -> None:
    done = template({**EXTERNAL, "runs": {"resources": wrong}})
    assert done.returncode != 0
    assert said in done.stderr
