"""The observed state of a resource, from a snapshot of the API's objects and its pods' reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, AnyResource, Replay
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import FeedReport, ReplayReport
from tapedeck_operator.plan import Observed
from tapedeck_operator.plan.fill import fill_name
from tapedeck_operator.plan.names import UID_LABEL, child_name
from tapedeck_operator.plan.network_policy import contains
from tapedeck_operator.plan.observer import INDEX_ANNOTATION, observe, observe_pod
from tapedeck_operator.reconcile.api import key_of
from tapedeck_operator.reconcile.cache import replay_name

STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}


class Objects:
    """A snapshot of the given documents."""

    def __init__(self, *documents: Json) -> None:
        self._documents = documents

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        return next((d for d in self._of(kind) if key_of(kind, d) == (kind, namespace, name)), None)

    def unfinished(self, kind: str, namespace: str) -> Iterable[Json]:
        found = [d for d in self._of(kind) if d["metadata"]["namespace"] == namespace]
        return [d for d in found if d["status"].get("phase") not in ("Complete", "Degraded", "Failed")]

    def dependents(self, namespace: str, replay: str) -> Iterable[Json]:
        runs = [*self._of("Replay"), *self._of("Backtest")]
        return [d for d in runs if d["metadata"]["namespace"] == namespace and replay_name(d) == replay]

    def children(self, kind: str, uid: str) -> Iterable[Json]:
        return [d for d in self._of(kind) if d["metadata"]["labels"][UID_LABEL] == uid]

    def pods(self, uid: str) -> Iterable[Json]:
        return self.children("Pod", uid)

    def _of(self, kind: str) -> list[Json]:
        return [d for d in self._documents if d["kind"] == kind]


def resource(kind: str, name: str, spec: Json, **status: Any) -> Json:
    metadata = {"name": name, "namespace": "n", "uid": f"uid-{name}", "generation": 1}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec, "status": status}


def child(kind: str, name: str, *owners: str, **metadata: Any) -> Json:
    references = [{"kind": "X", "name": "x", "uid": uid, "controller": True} for uid in owners]
    named = {"name": name, "namespace": "n", "uid": f"uid-{name}", "ownerReferences": references, **metadata}
    return {"kind": kind, "metadata": named, "spec": {"containers": [{}]}}


def replay(name: str = "tape", **spec: Any) -> AnyResource:
    return parse_resource(resource("Replay", name, {"source": STORE, **spec}))


def observed(of: AnyResource, *documents: Json) -> Observed:
    return observe(of, Objects(*documents), {}, None, 0)


def test_a_child_of_another_owner_is_ignored() -> None:
    made = replay()
    name = child_name(made)
    assert observed(made, child("Job", name, "uid-tape")).job is not None
    assert observed(made, child("Job", name, "uid-other")).job is None
    assert observed(made, child("Job", name, "uid-tape", deletionTimestamp="2018-04-04T00:00:00Z")).job is None


def test_a_fill_feed_of_another_owner_is_ignored() -> None:
    store = {**STORE["store"], "from": "2018-04-04T00:00:00Z"}
    made = replay(source={"store": store, "fill": True})
    assert isinstance(made, Replay)
    feed = resource("Feed", fill_name(made), {"exchange": "coinbase", "symbols": ["BTC/USD"]}, phase="Complete")
    assert observed(made, feed).fill_feed is None
    feed["metadata"]["ownerReferences"] = [{"uid": "uid-tape", "controller": True}]
    found = observed(made, feed).fill_feed
    assert found is not None
    assert found.metadata.name == fill_name(made)


def test_pods_belong_to_the_job_or_to_a_deployment_of_the_resource() -> None:
    made = replay()
    labels = {UID_LABEL: "uid-tape"}
    of_job = {"labels": labels, "annotations": {INDEX_ANNOTATION: "2"}}
    beside = {"labels": {**labels, "tapedeck.dev/part": "transform"}}
    pod_of_set = child("Pod", "p2", "uid-set", **beside)
    pod_of_set["metadata"]["ownerReferences"][0] |= {"kind": "ReplicaSet", "name": "d-5f7c"}
    found = observe(
        made,
        Objects(
            child("Job", child_name(made), "uid-tape"),
            child("Deployment", "d", "uid-tape", labels=labels),
            child("Pod", "p0", f"uid-{child_name(made)}", **of_job),
            child("Pod", "p1", "uid-d", **beside),
            pod_of_set,
            child("Pod", "p3", "uid-stranger", labels=labels),
        ),
        {"uid-p0": ReplayReport(state="running")},
        None,
        0,
    )
    assert [(pod.name, pod.index, pod.in_job) for pod in found.pods] == [("p0", 2, True)]
    assert found.pods[0].report == ReplayReport(state="running")
    assert [pod.name for pod in found.transform_pods] == ["p1", "p2"]


def test_followers_are_the_valid_unfinished_replays_that_name_the_leader() -> None:
    clock = {"source": STORE, "clock": {"follow": "tape"}}
    found = observed(
        replay(),
        resource("Replay", "follower", clock),
        resource("Replay", "finished", clock, phase="Complete"),
        resource("Replay", "invalid", {**clock, "speed": 2}),
        resource("Replay", "other", {"source": STORE}),
    )
    assert [follower.metadata.name for follower in found.followers] == ["follower"]


def test_feeds_are_the_valid_unfinished_ones_until_the_job_exists() -> None:
    spec = {"exchange": "coinbase", "symbols": ["BTC/USD"]}
    made = replay()
    feeds = (
        resource("Feed", "active", spec),
        resource("Feed", "finished", spec, phase="Failed"),
        resource("Feed", "invalid", {"exchange": 1}),
    )
    assert [feed.metadata.name for feed in observed(made, *feeds).active_feeds] == ["active"]
    assert observed(made, *feeds, child("Job", child_name(made), "uid-tape")).active_feeds == ()


def pod(name: str, uid: str, **status: Any) -> Json:
    labels = {"tapedeck.dev/uid": uid}
    metadata = {"name": name, "namespace": "n", "uid": f"pod-{name}", "resourceVersion": "5", "labels": labels}
    return {"metadata": metadata, "status": status}


def test_the_reason_why_a_pod_does_not_run() -> None:
    began = "2023-11-14T22:13:20Z"  # 1_700_000_000_000
    waiting = {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}]}
    seen = observe_pod("Replay", pod("p", "u", phase="Pending", **waiting), None, 0)
    assert (seen.reason, seen.problem) == ("ErrImagePull", "no such image")
    unscheduled = {
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m"}]
    }
    assert observe_pod("Replay", pod("p", "u", phase="Pending", **unscheduled), None, 0).reason == "Unschedulable"
    slow = pod("p", "u", phase="Pending", startTime=began)
    early, late = (observe_pod("Replay", slow, None, 1_700_000_000_000 + ms) for ms in (29_999, 30_000))
    assert (early.reason, early.recheck_at_ms) == ("", 1_700_000_030_000)
    assert (late.reason, late.recheck_at_ms) == ("NotStarting", None)
    assert late.problem == observe_pod("Replay", slow, None, 1_700_000_090_000).problem  # the same text each time
    assert observe_pod("Replay", pod("p", "u", phase="Running", startTime=began), None, 0).recheck_at_ms is None
    killed = {"exitCode": 137, "reason": "OOMKilled"}
    starved = pod("p", "u", phase="Failed", containerStatuses=[{"state": {"terminated": killed}}])
    starved["spec"] = {"containers": [{"resources": {"limits": {"memory": "64Mi"}}}]}
    seen = observe_pod("Replay", starved, None, 0)
    assert (seen.reason, seen.exit_code) == ("OOMKilled", 137)
    assert "(limit 64Mi): raise spec.resources.limits.memory" in seen.problem
    ended = {"containerStatuses": [{"state": {"terminated": {"exitCode": 64, "message": '{"reason": "NoBars"}'}}}]}
    seen = observe_pod("Replay", pod("p", "u", phase="Failed", **ended), None, 0)
    assert seen.exit_code == 64
    assert seen.report is not None
    assert seen.report.reason == "NoBars"


def test_the_message_of_an_ended_container_replaces_its_last_report() -> None:
    ended = {"containerStatuses": [{"state": {"terminated": {"exitCode": 1, "message": "Traceback ..."}}}]}
    polled = FeedReport(state="running")
    assert observe_pod("Feed", pod("p", "u", phase="Failed", **ended), polled, 0).report == polled
    ended["containerStatuses"][0]["state"]["terminated"]["message"] = '{"state": "failed"}'
    assert observe_pod("Feed", pod("p", "u", phase="Failed", **ended), polled, 0).report == FeedReport(state="failed")


def test_a_failed_pod_without_a_reason_is_explained_by_its_message() -> None:
    seen = observe_pod("Replay", pod("p", "u", phase="Failed", message="its node is gone"), None, 0)
    assert (seen.reason, seen.problem) == ("", "its node is gone")


def test_drift_is_a_difference_in_a_field_that_the_plan_sets() -> None:
    live = {"spec": {"a": [{"x": 1, "default": 2}], "b": 3}, "status": {}}
    assert contains(live, {"spec": {"a": [{"x": 1}]}})
    assert not contains(live, {"spec": {"a": [{"x": 2}]}})
    assert not contains(live, {"spec": {"a": []}})
    assert not contains(None, {"spec": {}})
