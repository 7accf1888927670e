"""Pods that fail again and again or cannot start, as a kubelet shows them, and what the status says of them."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import BacktestReport, FeedReport, ReplayReport, Report, TrialReport
from tapedeck_operator.plan import ActionFailure, Observed, ObservedPod, Settings, plan
from tapedeck_operator.plan.observer import observe_pod, pod_url

NOW = 1_700_000_000_000
LIVE = FeedReport(state="running", reason="Live")
SETTINGS = Settings(
    images={name: name for name in ("feed", "replay", "transform", "backtest")},
    operator_key=b"secret",
    results_key=b"results",
)
CRASHED = {"exitCode": 1, "reason": "Error", "message": '{"state": "failed", "message": "no route to the broker"}'}
KILLED = {"exitCode": 137, "reason": "OOMKilled"}
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container=feed"}
FEED = {"exchange": "binance", "symbols": ["A/B"]}
SWEEP = {
    "strategy": {"builtin": "sma-cross"},
    "data": {"store": {"exchange": "x", "symbols": ["A/B"]}},
    "sweep": {"params": [{"name": "fast", "values": [5, 10]}], "shards": 4},
}


def resource(kind: str, spec: Json, status: Json | None = None) -> AnyResource:
    document = {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x", "uid": "u", "generation": 1, "creationTimestamp": "2023-11-14T00:00:00Z"},
        "spec": spec,
    }
    return parse_resource(document | ({"status": status} if status else {}))


def kubelets_pod(name: str = "p", phase: str = "Running", annotations: Json | None = None, **container: Any) -> Json:
    """A Pod with one container; its status without containers where none is given."""
    spec = {
        "containers": [{"resources": {"limits": {"memory": "64Mi"}}, "ports": [{"name": "http", "containerPort": 1}]}]
    }
    status = {"phase": phase, "podIP": "10.0.0.7", **({"containerStatuses": [container]} if container else {})}
    return {"metadata": {"name": name, "annotations": annotations or {}}, "spec": spec, "status": status}


def in_crash_loop(terminated: Json) -> Json:
    """A Deployment's pod while the kubelet waits for the next start."""
    return kubelets_pod(state={"waiting": BACK_OFF}, lastState={"terminated": terminated}, restartCount=7, ready=False)


def restarted(terminated: Json, *, ready: bool = False, restarts: int = 7) -> Json:
    """A Deployment's pod whose container was started again."""
    running = {"running": {"startedAt": "2023-11-14T00:00:00Z"}}
    return kubelets_pod(state=running, lastState={"terminated": terminated}, restartCount=restarts, ready=ready)


def seen(pod: Json, report: Report | None = None, kind: str = "Feed") -> ObservedPod:
    return observe_pod(kind, pod, report, NOW)


def condition(status: Json, kind: str) -> tuple[str, str] | None:
    found = next((each for each in status["conditions"] if each["type"] == kind), None)
    return found and (found["status"], found["reason"])


def message(status: Json, kind: str) -> str:
    return next(str(each["message"]) for each in status["conditions"] if each["type"] == kind)


@pytest.mark.parametrize(
    ("terminated", "reason", "says"),
    [
        (CRASHED, "CrashLoop", "no route to the broker"),
        ({"exitCode": 3, "message": "Traceback ..."}, "CrashLoop", "pod p ended with exit code 3; see its log"),
        (KILLED, "OOMKilled", "raise spec.resources.limits.memory"),
    ],
)
def test_a_live_feed_in_a_crash_loop_is_not_running(terminated: Json, reason: str, says: str) -> None:
    """Its last report was of a pod that worked."""
    before = plan(resource("Feed", FEED), Observed(pods=(ObservedPod("p", 0, "Running", report=LIVE),)), NOW, SETTINGS)
    assert before.status["phase"] == "Running"
    feed = resource("Feed", FEED, before.status)
    for pod in (in_crash_loop(terminated), restarted(terminated)):
        status = plan(feed, Observed(pods=(seen(pod, None if "running" in str(pod) else LIVE),)), NOW, SETTINGS).status
        assert status["phase"] == "Pending"
        assert condition(status, "Ready") == ("False", reason)
        assert condition(status, "PodsFailing") == ("True", reason)
        assert says in message(status, "PodsFailing")


def test_a_live_feed_that_works_again_does_not_fail() -> None:
    failing = plan(resource("Feed", FEED), Observed(pods=(seen(in_crash_loop(CRASHED)),)), NOW, SETTINGS).status
    works = Observed(pods=(seen(restarted(CRASHED), LIVE),))
    status = plan(resource("Feed", FEED, failing), works, NOW, SETTINGS).status
    assert (status["phase"], condition(status, "PodsFailing")) == ("Running", ("False", "NotFailing"))


def test_a_pod_that_has_worked_since_its_restarts_is_not_blamed_while_the_operator_starts() -> None:
    assert seen(restarted(CRASHED, ready=True)).reason == ""
    assert seen(restarted(CRASHED, restarts=1)).reason == ""


def test_a_pod_is_not_polled_while_its_container_waits() -> None:
    assert pod_url(in_crash_loop(CRASHED)) is None
    assert pod_url(kubelets_pod(state={"terminated": CRASHED})) is None
    assert pod_url(restarted(CRASHED)) == "http://10.0.0.7:1"
    assert pod_url(kubelets_pod()) == "http://10.0.0.7:1"


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "RunContainerError"]
)
@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_a_pod_that_never_starts_fails(reason: str, phase: str) -> None:
    pod = kubelets_pod(phase=phase, state={"waiting": {"reason": reason, "message": "m"}})
    status = plan(resource("Feed", FEED), Observed(pods=(seen(pod),)), NOW, SETTINGS).status
    assert (condition(status, "Ready"), condition(status, "PodsFailing")) == (("False", reason), ("True", reason))
    starting = kubelets_pod(phase="Pending", state={"waiting": {"reason": "ContainerCreating"}})
    assert (
        condition(plan(resource("Feed", FEED), Observed(pods=(seen(starting),)), NOW, SETTINGS).status, "PodsFailing")
        is None
    )


def test_a_shard_in_a_crash_loop_comes_before_one_that_starts() -> None:
    pods = (ObservedPod("a", 0, "Pending"), ObservedPod("b", 1, "Running", reason="CrashLoop", problem="why"))
    status = plan(resource("Feed", FEED | {"shards": 2}), Observed(pods=pods), NOW, SETTINGS).status
    assert (condition(status, "Ready"), status["message"]) == (("False", "CrashLoop"), "shard 1: why")
    tape = {"source": {"store": {"exchange": "x", "symbols": ["A/B", "C/D"]}}, "shards": 2}
    pods = (ObservedPod("a", 0, "Pending"), ObservedPod("b", 1, "Pending", reason="ErrImagePull", problem="why"))
    status = plan(resource("Replay", tape), Observed(pods=pods), NOW, SETTINGS).status
    assert (condition(status, "PodsFailing"), status["message"]) == (("True", "ErrImagePull"), "shard 1: why")


def test_transforms_in_a_crash_loop_are_named_whether_or_not_the_run_is_paused() -> None:
    spec = FEED | {"transforms": [{"name": "mean", "sma": {}}]}
    killed = seen(in_crash_loop(KILLED), LIVE)
    observed = Observed(pods=(ObservedPod("p", 0, "Running", report=LIVE),), transform_pods=(killed,))
    status = plan(resource("Feed", spec), observed, NOW, SETTINGS).status
    assert (status["phase"], condition(status, "Ready")) == ("Running", ("True", "TransformsFailed"))
    assert "transforms do not run: pod p was OOM-killed" in status["message"]
    tape = {"source": {"store": {"exchange": "x", "symbols": ["A/B"]}}, "transforms": [{"name": "mean", "sma": {}}]}
    paused = ObservedPod("r", 0, "Running", report=ReplayReport(state="paused", reason="Paused"))
    observed = Observed(pods=(paused,), transform_pods=(seen(in_crash_loop(KILLED), kind="Replay"),))
    status = plan(resource("Replay", tape), observed, NOW, SETTINGS).status
    assert (status["phase"], condition(status, "Ready")) == ("Paused", ("True", "TransformsFailed"))


def test_a_backfill_in_a_crash_loop_beside_a_live_feed() -> None:
    spec = FEED | {"channels": ["bars"], "backfill": {"from": "2023-01-01T00:00:00Z", "intervals": ["1m"]}}
    failed = [ObservedPod(f"b{n}", 0, "Failed", exit_code=1, problem="no disk", in_job=True) for n in range(2)]
    live = ObservedPod("p", 0, "Running", report=LIVE)
    status = plan(resource("Feed", spec), Observed(pods=(*failed, live)), NOW, SETTINGS).status
    assert (status["phase"], condition(status, "Ready")) == ("Running", ("True", "Live"))
    assert condition(status, "PodsFailing") == ("True", "CrashLoop")
    assert status["message"] == "backfill: no disk"


def of_shard(
    index: int, phase: str, terminated: Json | None = None, name: str = "", status_reason: str = ""
) -> ObservedPod:
    """A pod of an Indexed Job: the kubelet restarts nothing in it."""
    state = {"state": {"terminated": terminated}} if terminated else {"state": {"running": {}}}
    pod = kubelets_pod(name or f"s{index}", phase, {"batch.kubernetes.io/job-completion-index": str(index)}, **state)
    if status_reason:
        pod["status"] |= {"reason": status_reason, "message": "the node was low on ephemeral-storage"}
    trials = (TrialReport(window=0, trial=1, start=0, end=1, objective=1.0, params={}),)
    report = BacktestReport(state="running", run_id="u", tried=1, trials=8, best=trials) if phase == "Running" else None
    return observe_pod("Backtest", pod, report, NOW)


def sweep_status(*pods: ObservedPod, status: Json | None = None, job: Json | None = None) -> Json:
    spec = {"spec": {"parallelism": 4}, "status": {}}
    return plan(resource("Backtest", SWEEP, status), Observed(job=job or spec, pods=pods), NOW, SETTINGS).status


def test_one_shard_of_a_sweep_in_a_crash_loop_is_named_while_the_others_run() -> None:
    others = [of_shard(index, "Running") for index in (0, 1, 3)]
    failed = [of_shard(2, "Failed", CRASHED, f"s2-{n}") for n in range(3)]
    status = sweep_status(*others, *failed)
    assert (status["phase"], condition(status, "PodsFailing")) == ("Running", ("True", "CrashLoop"))
    assert message(status, "PodsFailing") == "1 of 4 shards fail: shard 2: no route to the broker"
    assert status["message"].endswith(message(status, "PodsFailing"))
    starts = ObservedPod("s2-4", 2, "Pending")  # the next try
    assert condition(sweep_status(*others, *failed, starts), "PodsFailing") == ("True", "CrashLoop")
    works = of_shard(2, "Running", name="s2-5")
    assert condition(sweep_status(*others, *failed, works), "PodsFailing") is None
    assert condition(sweep_status(*others, *failed, works, status=status), "PodsFailing") == ("False", "NotFailing")


def test_the_first_failure_of_each_of_several_shards_is_no_crash_loop() -> None:
    status = sweep_status(of_shard(0, "Failed", CRASHED), of_shard(1, "Failed", CRASHED))
    assert (condition(status, "Ready"), condition(status, "PodsFailing")) == (("False", "Restarting"), None)


def test_queued_shards_of_a_sweep_wait_for_those_that_run() -> None:
    queued = ObservedPod("s1", 1, "Pending", reason="Unschedulable", problem="no node")
    assert condition(sweep_status(of_shard(0, "Running"), queued), "PodsFailing") is None
    assert condition(sweep_status(queued), "PodsFailing") == ("True", "Unschedulable")


@pytest.mark.parametrize(("terminated", "evicted"), [(KILLED, ""), (CRASHED, "Evicted")])
def test_restarts_and_the_end_name_what_kubernetes_did(terminated: Json, evicted: str) -> None:
    spec = {name: value for name, value in SWEEP.items() if name != "sweep"}
    reason = evicted or "OOMKilled"
    pods = tuple(of_shard(0, "Failed", terminated, f"p{n}", evicted) for n in range(2))
    says = "ephemeral-storage" if evicted else "limits.memory"
    job: Json = {"spec": {"parallelism": 1}, "status": {}}
    once = plan(resource("Backtest", spec), Observed(job=job, pods=pods[:1]), NOW, SETTINGS).status
    assert (condition(once, "Ready"), condition(once, "PodsFailing")) == (("False", "Restarting"), None)
    assert says in once["message"]
    again = plan(resource("Backtest", spec), Observed(job=job, pods=pods), NOW, SETTINGS).status
    assert (condition(again, "Ready"), condition(again, "PodsFailing")) == (("False", reason), ("True", reason))
    ended = job | {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}
    final = plan(resource("Backtest", spec, again), Observed(job=ended, pods=pods), NOW, SETTINGS).status
    assert (final["phase"], condition(final, "PodsFailing")) == ("Failed", ("False", "NotFailing"))


def test_a_run_that_works_without_a_pod_says_so_in_an_event_once() -> None:
    pods = (of_shard(0, "Running"), *(of_shard(1, "Failed", CRASHED, f"s1-{n}") for n in range(2)))
    job: Json = {"spec": {"parallelism": 4}, "status": {}}
    running = sweep_status(of_shard(0, "Running"))
    planned = plan(resource("Backtest", SWEEP, running), Observed(job=job, pods=pods), NOW, SETTINGS)
    assert [(event.type, event.reason) for event in planned.events] == [("Warning", "CrashLoop")]
    assert plan(resource("Backtest", SWEEP, planned.status), Observed(job=job, pods=pods), NOW, SETTINGS).events == ()


def test_a_suspended_run_does_not_fail() -> None:
    failing = sweep_status(*(of_shard(0, "Failed", CRASHED, f"p{n}") for n in range(2)))
    suspended = plan(resource("Backtest", SWEEP | {"suspend": True}, failing), Observed(), NOW, SETTINGS).status
    assert condition(suspended, "PodsFailing") == ("False", "NotFailing")


def test_a_child_that_cannot_be_applied_stays_named_while_the_run_works() -> None:
    failure = ActionFailure("NameConflict", "Deployment x has another owner")
    observed = Observed(pods=(ObservedPod("p", 0, "Running", report=LIVE),), failure=failure)
    status = plan(resource("Feed", FEED), observed, NOW, SETTINGS).status
    assert (status["phase"], condition(status, "Applied")) == ("Running", ("False", "NameConflict"))
