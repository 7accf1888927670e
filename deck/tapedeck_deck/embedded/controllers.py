"""What a cluster's controllers do, for the two kinds that the deck uses: Jobs and Deployments to Pods."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.pods import INDEX_ANNOTATION
from tapedeck_operator.plan.names import UID_LABEL

BACKOFF_FIRST, BACKOFF_MAX = 0.5, 10.0
FAILED, SUCCEEDED = "Failed", "Succeeded"


@dataclass(frozen=True)
class Decision:
    """Pods to make, pods to end, and the owner's status where it changed."""

    make: tuple[Json, ...] = ()
    end: tuple[str, ...] = ()
    status: Json | None = None


def backoff(failures: int) -> float:
    """Seconds to wait before the pod after this many failures."""
    return float(min(BACKOFF_FIRST * 2 ** max(failures - 1, 0), BACKOFF_MAX))


def decide_job(job: Json, pods: list[Json], now: float) -> Decision:
    """What an Indexed Job wants next. ``pods`` are its own, oldest first; ``now`` in seconds."""
    if any(c["status"] == "True" for c in job.get("status", {}).get("conditions", [])):
        return Decision()
    live = tuple(p["metadata"]["name"] for p in pods if _phase(p) not in (FAILED, SUCCEEDED))
    if job["spec"].get("suspend"):
        return Decision(end=live)
    room = job["spec"]["parallelism"] - len(live)
    make: list[Json] = []
    done: list[int] = []
    failed: dict[int, str] = {}
    for index in range(job["spec"]["completions"]):
        mine = [p for p in pods if p["metadata"]["annotations"].get(INDEX_ANNOTATION) == str(index)]
        newest = mine[-1] if mine else None
        phase = _phase(newest) if newest else None
        if newest is None:
            make.append(new_pod(job, index))
        elif phase == SUCCEEDED:
            done.append(index)
        elif phase == FAILED:
            if (reason := _gives_up(job, mine)) is not None:
                failed[index] = reason
            elif now - newest["status"]["finishedAt"] >= backoff(len(mine)):
                make.append(new_pod(job, index))
    if failed:  # one index that gives up ends the Job and all of its pods
        return Decision(end=live, status=_job_status(job, done, failed, now))
    return Decision(tuple(make[: max(room, 0)]), live[room:] if room < 0 else (), _job_status(job, done, failed, now))


def _phase(pod: Json) -> str | None:
    """None until the kubelet has taken note of the pod."""
    phase: str | None = pod.get("status", {}).get("phase")
    return phase


def _gives_up(job: Json, pods: list[Json]) -> str | None:
    code = pods[-1]["status"].get("exitCode")
    for rule in job["spec"].get("podFailurePolicy", {}).get("rules", []):
        if rule["action"] == "FailJob" and code in rule["onExitCodes"]["values"]:
            return f"exit code {code} is final"
    limit = job["spec"].get("backoffLimit", 6)
    return f"failed {len(pods)} times" if len(pods) > limit else None


def _job_status(job: Json, done: list[int], failed: dict[int, str], now: float) -> Json | None:
    total = job["spec"]["completions"]
    status: Json = {"succeeded": len(done), "failed": len(failed)}
    if len(done) == total:
        status["conditions"] = [{"type": "Complete", "status": "True"}]
        status["completionTime"] = format_ms(int(now * 1000))
    elif failed:
        message = "; ".join(f"index {index}: {reason}" for index, reason in failed.items())
        status["conditions"] = [{"type": "Failed", "status": "True", "message": message}]
    return status if status != job.get("status") else None


def decide_deployment(deployment: Json, pods: list[Json], now: float) -> Decision:
    """What a Deployment wants next: as many pods of the present template as replicas."""
    generation = str(deployment["metadata"]["generation"])
    current = [p for p in pods if p["metadata"]["annotations"].get("generation") == generation]
    live = [p for p in current if _phase(p) not in (FAILED, SUCCEEDED)]
    ended = [p for p in current if _phase(p) in (FAILED, SUCCEEDED)]
    outdated = tuple(p["metadata"]["name"] for p in pods if p not in current)
    missing = deployment["spec"]["replicas"] - len(live)
    recent = [p for p in ended if now - p["status"]["finishedAt"] < 60]
    if missing > 0 and recent and now - recent[-1]["status"]["finishedAt"] < backoff(len(recent)):
        missing = 0
    make = tuple(new_pod(deployment, None) for _ in range(max(missing, 0)))
    surplus = tuple(p["metadata"]["name"] for p in live[deployment["spec"]["replicas"] :])
    forgotten = tuple(p["metadata"]["name"] for p in ended[:-5])
    return Decision(make, outdated + surplus + forgotten)


def new_pod(owner: Json, index: int | None) -> Json:
    """A Pod of the owner's template."""
    template = owner["spec"]["template"]
    metadata = owner["metadata"]
    tag = uuid.uuid4().hex[:5]
    middle = "" if index is None else f"{index}-"
    annotations = {"generation": str(metadata["generation"])}
    if index is not None:
        annotations[INDEX_ANNOTATION] = str(index)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{middle}{tag}",
            "namespace": metadata["namespace"],
            "labels": {**template.get("metadata", {}).get("labels", {})},
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }


def resource_uid(pod: Json) -> str:
    """The uid of the Feed, Replay or Backtest that a pod works for; empty for the deck's own."""
    return str(pod["metadata"].get("labels", {}).get(UID_LABEL, ""))
