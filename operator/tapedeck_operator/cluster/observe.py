"""From what the watches and the pods told to the values that planning takes."""

from __future__ import annotations

from typing import Literal, cast

from tapedeck_crds.base import time_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource, Feed, Replay
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_crds.report import Report
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_operator.cluster.cache import Cache, Key
from tapedeck_operator.cluster.poll import Poller, parse_report, pod_url
from tapedeck_operator.plan import ActionFailure, Observed, ObservedPod
from tapedeck_operator.plan.fill import fill_name
from tapedeck_operator.plan.names import PART_LABEL, SHARD_LABEL, child_name, referenced_replay
from tapedeck_operator.plan.reasons import NOT_STARTING, OOM_KILLED
from tapedeck_operator.plan.transforms import transform_name

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
SLOW_START_MS = 30_000
PodPhase = Literal["Pending", "Running", "Succeeded", "Failed"]


def observe(
    resource: AnyResource, cache: Cache, poller: Poller, refusal: ActionFailure | None, now_ms: int
) -> Observed:
    """What there is of a resource's children: its own only, whatever else bears their names."""
    metadata = resource.metadata
    wanted = referenced_replay(resource)
    job = _owned(cache, resource, "Job", child_name(resource))
    deployments = _deployments(cache, resource) if resource.kind in ("Feed", "Replay") else ()
    seen = [
        see_pod(resource.kind, pod, poller.report(pod["metadata"]["uid"]), now_ms)
        for pod in cache.pods(metadata.uid)
        if (job is not None and is_owned(pod, job["metadata"]["uid"])) or _of_any(pod, deployments)
    ]
    return Observed(
        job=job,
        policy=_owned(cache, resource, "NetworkPolicy", child_name(resource)),
        pods=tuple(pod for pod in seen if not pod.part),
        transform_pods=tuple(pod for pod in seen if pod.part),
        transform_policy=_owned(cache, resource, "NetworkPolicy", transform_name(resource)),
        deployments=deployments,
        replay=_replay(cache, metadata.namespace, wanted) if wanted is not None else None,
        followers=_followers(cache, metadata.namespace, metadata.name) if resource.kind == "Replay" else (),
        active_feeds=_feeds(cache, metadata.namespace) if job is None else (),
        fill_feed=_fill(cache, resource) if isinstance(resource, Replay) and job is None else None,
        failure=refusal,
    )


def is_owned(document: Json, uid: str) -> bool:
    """Whether an object's controller is the one of this uid."""
    owners = document["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == uid and owner.get("controller") for owner in owners)


def see_pod(kind: str, pod: Json, report: Report | None, now_ms: int) -> ObservedPod:
    """A Pod object and what the pod itself said."""
    metadata, status = pod["metadata"], pod.get("status", {})
    container: Json = next(iter(status.get("containerStatuses", [])), {})
    state = container.get("state", {})
    before = container.get("lastState", {}) if state.get("waiting") else {}  # a Deployment's restarts in its pod
    ended = state.get("terminated") or before.get("terminated") or {}
    last_words = parse_report(kind, ended["message"]) if ended.get("message") else None
    reason, problem = _starved(pod, ended) or _trouble(pod, container, now_ms)
    phase = status.get("phase", "Pending")
    return ObservedPod(
        name=metadata["name"],
        index=int(
            metadata.get("annotations", {}).get(INDEX_ANNOTATION, metadata.get("labels", {}).get(SHARD_LABEL, 0))
        ),
        phase=cast(PodPhase, phase if phase in ("Pending", "Running", "Succeeded", "Failed") else "Running"),
        url=pod_url(pod),
        report=last_words or report,
        exit_code=ended.get("exitCode"),
        problem=problem,
        reason=reason,
        in_job=INDEX_ANNOTATION in metadata.get("annotations", {}),
        part=metadata.get("labels", {}).get(PART_LABEL, ""),
        recheck_at_ms=None if reason else _slow_at(status),
    )


def _starved(pod: Json, ended: Json) -> tuple[str, str] | None:
    """As below, for a container that the kernel ended: it had no time for last words."""
    if ended.get("reason") != OOM_KILLED:
        return None
    limit = pod["spec"]["containers"][0].get("resources", {}).get("limits", {}).get("memory", "the node's")
    said = f"pod {pod['metadata']['name']} was ended for want of memory, its limit is {limit}"
    return OOM_KILLED, f"{said}: raise spec.resources.limits.memory, or let it need less"


def _trouble(pod: Json, container: Json, now_ms: int) -> tuple[str, str]:
    """Why a pod does not run: one word and one sentence, both empty where nothing is wrong."""
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    waiting = container.get("state", {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason not in ("", "ContainerCreating", "PodInitializing"):
        return reason, waiting.get("message") or f"pod {name} waits: {reason}"
    scheduled = next((c for c in status.get("conditions", []) if c["type"] == "PodScheduled"), None)
    if scheduled is not None and scheduled["status"] == "False":
        return scheduled.get("reason", "Unschedulable"), scheduled.get("message", f"no node takes pod {name}")
    if status.get("phase") == "Failed" and status.get("reason"):
        return status["reason"], status.get("message") or f"pod {name} ended: {status['reason']}"
    if (slow_at := _slow_at(status)) is not None and now_ms >= slow_at:
        return (
            NOT_STARTING,
            f"pod {name} is being made since {status['startTime']}; its volumes may be missing: is there a "
            "Secret tapedeck-connections with all keys in this namespace? `kubectl describe pod` says more",
        )
    return "", ""


def _slow_at(status: Json) -> int | None:
    """When a pod that a node has taken should have started: no event tells that it has not."""
    began = status.get("startTime")
    return time_ms(began) + SLOW_START_MS if began and status.get("phase") == "Pending" else None


def _owned(cache: Cache, resource: AnyResource, kind: str, name: str) -> Json | None:
    found = cache.get(Key(kind, resource.metadata.namespace, name))
    if found is None or not is_owned(found, resource.metadata.uid) or found["metadata"].get("deletionTimestamp"):
        return None
    return found


def _deployments(cache: Cache, resource: AnyResource) -> tuple[Json, ...]:
    mine = (one for one in cache.all("Deployment") if is_owned(one, resource.metadata.uid))
    return tuple(one for one in mine if not one["metadata"].get("deletionTimestamp"))


def _of_any(pod: Json, deployments: tuple[Json, ...]) -> bool:
    """Whether a pod is one of these: it belongs to a ReplicaSet, which is named after its Deployment."""
    owners = [o["name"] for o in pod["metadata"].get("ownerReferences", []) if o.get("kind") == "ReplicaSet"]
    return any(name.rpartition("-")[0] == one["metadata"]["name"] for name in owners for one in deployments)


def _feeds(cache: Cache, namespace: str) -> tuple[Feed, ...]:
    documents = [d for d in cache.all("Feed") if d["metadata"]["namespace"] == namespace]
    found = (_parsed(d) for d in documents if d.get("status", {}).get("phase") not in FINAL_PHASES)
    return tuple(feed for feed in found if isinstance(feed, Feed))


def _fill(cache: Cache, replay: Replay) -> Feed | None:
    document = cache.get(Key("Feed", replay.metadata.namespace, fill_name(replay)))
    found = _parsed(document) if document is not None and is_owned(document, replay.metadata.uid) else None
    return found if isinstance(found, Feed) else None


def _replay(cache: Cache, namespace: str, name: str) -> Replay | None:
    document = cache.get(Key("Replay", namespace, name))
    found = _parsed(document) if document is not None else None
    return found if isinstance(found, Replay) else None


def _followers(cache: Cache, namespace: str, name: str) -> tuple[Replay, ...]:
    documents = [d for d in cache.all("Replay") if d["metadata"]["namespace"] == namespace]
    named = (_parsed(d) for d in documents if (d["spec"].get("clock") or {}).get("follow") == name)
    return tuple(replay for replay in named if isinstance(replay, Replay) and not replay.finished)


def _parsed(document: Json) -> AnyResource | None:
    try:
        return parse_resource(document)
    except InvalidResource:
        return None
