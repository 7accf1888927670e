"""The limits of a run: memory, processors, disk space and time."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from planned import job, resource
from tapedeck_crds.pod import Resources
from tapedeck_operator.plan import Observed, ObservedPod, Settings, plan

NOW = 1_700_000_000_000
STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
DEFAULTS = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "10Gi"}
RESERVED = {"cpu": "50m", "memory": "192Mi"}
SETTINGS = Settings(
    images=dict.fromkeys(("feed", "replay", "transform", "backtest"), "i"),
    operator_key=b"secret",
    results_key=b"results",
    resources={"replay": Resources(requests=RESERVED, limits=DEFAULTS)},
)
BACKFILL = {"exchange": "binance", "symbols": ["BTC/USDT"], "backfill": {"from": "2024-01-01T00:00:00Z", "only": True}}
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("Replay", {"source": STORE, "shards": 2}),
    ("Backtest", {"strategy": {"builtin": "sma-cross"}, "data": STORE}),
    ("Feed", {"source": {"files": {"exchange": "x", "sets": [{"symbol": "A/B", "path": "a"}]}}}),
    ("Feed", BACKFILL),
]


def container(resources: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """The container's resources, the volume for temporary files, and the spec that the pod reads."""
    spec = {"source": STORE, **({"resources": resources} if resources is not None else {})}
    pod = job(plan(resource("Replay", spec), Observed(), NOW, SETTINGS))["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    told = next(each["value"] for each in only["env"] if each["name"] == "TAPEDECK_SPEC")
    scratch = next(volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "tmp")
    return only["resources"], scratch, json.loads(told)["resources"]


def test_a_pod_has_the_limits_of_the_installation() -> None:
    given = {"requests": RESERVED, "limits": DEFAULTS}
    assert container(None) == (given, {"sizeLimit": "10Gi"}, given)


def test_a_resources_own_amounts_replace_the_defaults_by_name() -> None:
    limits, scratch, _ = container({"limits": {"memory": "3Gi", "ephemeral-storage": "1Gi"}, "requests": {"cpu": "1"}})
    assert limits["limits"] == {"cpu": "2", "memory": "3Gi", "ephemeral-storage": "1Gi"}
    assert limits["requests"] == {"cpu": "1", "memory": "192Mi"}
    assert scratch == {"sizeLimit": "1Gi"}


@pytest.mark.parametrize(
    ("own", "request_", "limit"),
    [
        ({"limits": {"memory": "64Mi"}}, "64Mi", "64Mi"),  # the API server rejects a request above the limit
        ({"requests": {"memory": "2Gi"}}, "2Gi", "2Gi"),
        ({"requests": {"memory": "500M"}}, "500M", "1Gi"),
    ],
)
def test_a_default_gives_way_to_the_resources_own_amount(own: dict[str, Any], request_: str, limit: str) -> None:
    planned, _, _ = container(own)
    assert (planned["requests"]["memory"], planned["limits"]["memory"]) == (request_, limit)


def test_without_defaults_a_pod_has_only_its_own_amounts() -> None:
    bare = replace(SETTINGS, resources={})
    pod = job(plan(resource("Replay", {"source": STORE}), Observed(), NOW, bare))["spec"]["template"]["spec"]
    assert "resources" not in pod["containers"][0]
    assert {"name": "tmp", "emptyDir": {}} in pod["volumes"]


@pytest.mark.parametrize(("kind", "spec"), RUNS)
def test_a_run_that_takes_too_long_fails_with_that_reason(kind: str, spec: dict[str, Any]) -> None:
    made = resource(kind, {**spec, "activeDeadlineSeconds": 600})
    manifest = job(plan(made, Observed(), NOW, SETTINGS))
    assert manifest["spec"]["activeDeadlineSeconds"] == 600
    condition = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active too long"}
    ended = {**manifest, "status": {"conditions": [condition]}}
    stopped = ObservedPod("p", 0, "Failed", exit_code=143, problem="stopped", in_job=True)
    planned = plan(made, Observed(ended, (stopped,)), NOW, SETTINGS)
    assert planned.status["phase"] == "Failed"
    assert planned.status["message"] == "spec.activeDeadlineSeconds: the run took longer than 600 s and was ended"
    assert {each["reason"] for each in planned.status["conditions"]} == {"DeadlineExceeded"}
    assert [event.type for event in planned.events] == ["Warning"]
    final = resource(kind, {**spec, "activeDeadlineSeconds": 600}, planned.status)
    assert plan(final, Observed(), NOW + 1, SETTINGS).apply == ()


def test_the_time_limit_of_a_running_job_follows_the_spec() -> None:
    unlimited = resource("Replay", {"source": STORE})
    first = plan(unlimited, Observed(), NOW, SETTINGS)
    running = Observed(job(first), (ObservedPod("p", 0, "Running", in_job=True),))
    limited = resource("Replay", {"source": STORE, "activeDeadlineSeconds": 60})
    (patch,) = plan(limited, running, NOW, SETTINGS).patches
    assert patch.spec == {"activeDeadlineSeconds": 60}
    spec = {**job(first)["spec"], "activeDeadlineSeconds": 60}
    running = replace(running, job={**job(first), "spec": spec})
    assert plan(limited, running, NOW, SETTINGS).patches == ()
    (patch,) = plan(unlimited, running, NOW, SETTINGS).patches
    assert patch.spec == {"activeDeadlineSeconds": None}
