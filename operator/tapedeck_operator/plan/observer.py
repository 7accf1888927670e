"""The observed state of a resource, from a cache of the API's objects and the reports of its pods. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, cast

from tapedeck_crds.base import time_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource, Feed, Replay
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_crds.report import BacktestReport, FeedReport, ReplayReport, Report
from tapedeck_crds.resource import is_finished
from tapedeck_operator.plan.fill import fill_name
from tapedeck_operator.plan.names import PART_LABEL, SHARD_LABEL, child_name, referenced_replay
from tapedeck_operator.plan.reasons import CRASH_LOOP, NOT_STARTING, OOM_KILLED, UNSCHEDULABLE
from tapedeck_operator.plan.transforms import transform_name
from tapedeck_operator.plan.types import ActionFailure, Observed, ObservedPod

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
SLOW_START_MS = 30_000
PodPhase = Literal["Pending", "Running", "Succeeded", "Failed"]
_REPORT_TYPES: dict[str, type[Report]] = {"Feed": FeedReport, "Replay": ReplayReport, "Backtest": BacktestReport}


class Snapshot(Protocol):
    """Read access to objects of the Kubernetes API, as last seen."""

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """One object, None where there is none."""
        ...

    def unfinished(self, kind: str, namespace: str) -> Iterable[Json]:
        """The unfinished resources of a kind in a namespace."""
        ...

    def dependents(self, namespace: str, replay: str) -> Iterable[Json]:
        """The Backtests that read a Replay and the Replays that follow its clock."""
        ...

    def children(self, kind: str, uid: str) -> Iterable[Json]:
        """The objects of a kind that are labelled with the uid of a resource."""
        ...

    def pods(self, uid: str) -> Iterable[Json]:
        """The pods labelled with the uid of a resource, oldest first."""
        ...


def observe(
    resource: AnyResource, snapshot: Snapshot, reports: Mapping[str, Report], failure: ActionFailure | None, now_ms: int
) -> Observed:
    """The observed state of a resource. Objects that it does not own are ignored, whatever their names and labels.

    ``reports`` maps the uid of a pod to its last report; ``failure`` is why the last attempt to apply its plan failed.
    """
    namespace, uid = resource.metadata.namespace, resource.metadata.uid
    replay = referenced_replay(resource)
    job = _owned(snapshot, resource, "Job", child_name(resource))
    deployments = _deployments(snapshot, resource) if resource.kind in ("Feed", "Replay") else ()
    pods = [
        observe_pod(resource.kind, pod, reports.get(pod["metadata"]["uid"]), now_ms)
        for pod in snapshot.pods(uid)
        if (job is not None and is_owned(pod, job["metadata"]["uid"])) or _belongs_to_any(pod, deployments)
    ]
    return Observed(
        job=job,
        policy=_owned(snapshot, resource, "NetworkPolicy", child_name(resource)),
        pods=tuple(pod for pod in pods if not pod.part),
        transform_pods=tuple(pod for pod in pods if pod.part),
        transform_policy=_owned(snapshot, resource, "NetworkPolicy", transform_name(resource)),
        deployments=deployments,
        replay=_replay(snapshot, namespace, replay) if replay is not None else None,
        followers=_followers(snapshot, namespace, resource.metadata.name) if resource.kind == "Replay" else (),
        active_feeds=_unfinished_feeds(snapshot, namespace) if job is None else (),
        fill_feed=_fill(snapshot, resource) if isinstance(resource, Replay) and job is None else None,
        failure=failure,
    )


def observe_pod(kind: str, pod: Json, report: Report | None, now_ms: int) -> ObservedPod:
    """A Pod object together with its last report. ``kind`` is that of the resource that it works for."""
    metadata, status = pod["metadata"], pod.get("status", {})
    container: Json = next(iter(status.get("containerStatuses", [])), {})
    if container.get("state", {}).get("waiting"):
        report = None  # it is of the container that ended
    terminated = _terminated(container, report)
    final_report = parse_report(kind, terminated["message"]) if terminated.get("message") else None
    reason, problem = (
        _oom_kill(pod, terminated)
        or _crash_loop(pod, container, terminated, final_report)
        or _problem(pod, container, now_ms)
    )
    phase = status.get("phase", "Pending")
    annotations, labels = metadata.get("annotations", {}), metadata.get("labels", {})
    return ObservedPod(
        name=metadata["name"],
        index=int(annotations.get(INDEX_ANNOTATION, labels.get(SHARD_LABEL, 0))),
        phase=cast(PodPhase, phase if phase in ("Pending", "Running", "Succeeded", "Failed") else "Running"),
        url=pod_url(pod),
        report=final_report or report,
        exit_code=terminated.get("exitCode"),
        problem=problem,
        reason=reason,
        in_job=INDEX_ANNOTATION in annotations,
        part=labels.get(PART_LABEL, ""),
        recheck_at_ms=None if reason else _slow_start_at(status),
    )


def is_owned(document: Json, uid: str) -> bool:
    """Whether the object of this uid is the controller of another one."""
    owners = document["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == uid and owner.get("controller") for owner in owners)


def pod_url(pod: Json) -> str | None:
    """The URL of a running pod's probes; None before it runs, after, and while its container waits for a restart."""
    status = pod.get("status", {})
    address = status.get("podIP")
    if status.get("phase") != "Running" or not address or pod["metadata"].get("deletionTimestamp"):
        return None
    container: Json = next(iter(status.get("containerStatuses", [])), {})
    if container.get("state") and "running" not in container["state"]:
        return None
    ports = pod["spec"]["containers"][0].get("ports") or []
    number = next((port["containerPort"] for port in ports if port.get("name") == "http"), None)
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{number}" if number is not None else None


def parse_report(kind: str, text: str | bytes) -> Report | None:
    """The report of a pod that works for a resource of this kind; None for anything else, such as a crash message."""
    try:
        return _REPORT_TYPES[kind].model_validate_json(text)
    except ValueError:
        return None


def _terminated(container: Json, report: Report | None) -> Json:
    """How the container ended; empty while it works. A Deployment's pod restarts it in place: how it ended before
    counts while it waits for the next start, and from the second restart on until it works again."""
    state = container.get("state", {})
    starts_again = _starts_again(container) and (report is None or report.state == "starting")
    before = container.get("lastState", {}) if state.get("waiting") or starts_again else {}
    return state.get("terminated") or before.get("terminated") or {}


def _starts_again(container: Json) -> bool:
    """Whether the container was restarted more than once and is not ready."""
    runs = "running" in container.get("state", {})
    return runs and container.get("restartCount", 0) > 1 and not container.get("ready")


def _crash_loop(pod: Json, container: Json, terminated: Json, report: Report | None) -> tuple[str, str] | None:
    """Reason and problem of a pod whose container ends again and again. Its phase stays Running."""
    waiting = container.get("state", {}).get("waiting") or {}
    if waiting.get("reason") != "CrashLoopBackOff" and not (terminated and _starts_again(container)):
        return None
    message = report.message if report is not None else ""
    code = terminated.get("exitCode", "unknown")
    return CRASH_LOOP, message or f"pod {pod['metadata']['name']} ended with exit code {code}; see its log"


def _oom_kill(pod: Json, terminated: Json) -> tuple[str, str] | None:
    """Reason and problem of a container that the kernel killed: it had no time to write a termination message."""
    if terminated.get("reason") != OOM_KILLED:
        return None
    limit = pod["spec"]["containers"][0].get("resources", {}).get("limits", {}).get("memory", "the node's memory")
    name = pod["metadata"]["name"]
    return (
        OOM_KILLED,
        f"pod {name} was OOM-killed (limit {limit}): raise spec.resources.limits.memory or reduce memory use",
    )


def _problem(pod: Json, container: Json, now_ms: int) -> tuple[str, str]:
    """Why a pod does not run: a CamelCase reason and a sentence, both empty where nothing is wrong."""
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    waiting = container.get("state", {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason not in ("", "ContainerCreating", "PodInitializing"):
        return reason, waiting.get("message") or f"pod {name} waits: {reason}"
    scheduled = next((c for c in status.get("conditions", []) if c["type"] == "PodScheduled"), None)
    if scheduled is not None and scheduled["status"] == "False":
        return scheduled.get("reason", UNSCHEDULABLE), scheduled.get("message", f"no node accepts pod {name}")
    reason, message = status.get("reason", ""), status.get("message", "")
    if status.get("phase") == "Failed" and (reason or message):
        return reason, message or f"pod {name} failed: {reason}"
    if (slow_at := _slow_start_at(status)) is not None and now_ms >= slow_at:
        return (
            NOT_STARTING,
            f"pod {name} has not started since {status['startTime']}; its volumes may be missing: is there a "
            "Secret tapedeck-connections with all keys in this namespace? Run `kubectl describe pod` for details",
        )
    return "", ""


def _slow_start_at(status: Json) -> int | None:
    """When a scheduled pod that has not started becomes a problem, in milliseconds: no event reports that it hangs."""
    started = status.get("startTime")
    return time_ms(started) + SLOW_START_MS if started and status.get("phase") == "Pending" else None


def _owned(snapshot: Snapshot, resource: AnyResource, kind: str, name: str) -> Json | None:
    found = snapshot.get(kind, resource.metadata.namespace, name)
    if found is None or not is_owned(found, resource.metadata.uid) or found["metadata"].get("deletionTimestamp"):
        return None
    return found


def _deployments(snapshot: Snapshot, resource: AnyResource) -> tuple[Json, ...]:
    return tuple(
        deployment
        for deployment in snapshot.children("Deployment", resource.metadata.uid)
        if is_owned(deployment, resource.metadata.uid) and not deployment["metadata"].get("deletionTimestamp")
    )


def _belongs_to_any(pod: Json, deployments: tuple[Json, ...]) -> bool:
    """Whether a pod belongs to one of the Deployments.

    On a cluster a ReplicaSet, named after its Deployment, owns it; on the deck the Deployment itself.
    """
    if any(is_owned(pod, deployment["metadata"]["uid"]) for deployment in deployments):
        return True
    replica_sets = [o["name"] for o in pod["metadata"].get("ownerReferences", []) if o.get("kind") == "ReplicaSet"]
    return any(name.rpartition("-")[0] == one["metadata"]["name"] for name in replica_sets for one in deployments)


def _unfinished_feeds(snapshot: Snapshot, namespace: str) -> tuple[Feed, ...]:
    found = map(_parsed, snapshot.unfinished("Feed", namespace))
    return tuple(feed for feed in found if isinstance(feed, Feed))


def _fill(snapshot: Snapshot, replay: Replay) -> Feed | None:
    document = snapshot.get("Feed", replay.metadata.namespace, fill_name(replay))
    found = _parsed(document) if document is not None and is_owned(document, replay.metadata.uid) else None
    return found if isinstance(found, Feed) else None


def _replay(snapshot: Snapshot, namespace: str, name: str) -> Replay | None:
    document = snapshot.get("Replay", namespace, name)
    found = _parsed(document) if document is not None else None
    return found if isinstance(found, Replay) else None


def _followers(snapshot: Snapshot, namespace: str, leader: str) -> tuple[Replay, ...]:
    dependents = snapshot.dependents(namespace, leader)
    followers = [each for each in dependents if each["kind"] == "Replay" and not is_finished(each)]
    found = map(_parsed, followers)
    return tuple(replay for replay in found if isinstance(replay, Replay))


def _parsed(document: Json) -> AnyResource | None:
    """Another resource, None where its document is invalid: that must not stop the one being observed."""
    try:
        return parse_resource(document)
    except InvalidResource:
        return None
