"""The Job and Deployment controllers of the deck: they create and delete Pods as those of a cluster do."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.objects import Change, Objects
from tapedeck_deck.embedded.problems import Problems
from tapedeck_operator.plan.observer import INDEX_ANNOTATION
from tapedeck_operator.reconcile.api import ObjectKey, key_of
from tapedeck_operator.reconcile.errors import ObjectNotFound
from tapedeck_operator.reconcile.work_queue import WorkQueue

BACKOFF_FIRST, BACKOFF_MAX = 0.5, 10.0
RECENT_SECONDS = 60.0
KEPT_ENDED_PODS = 5  # of a Deployment
FAILED, SUCCEEDED = "Failed", "Succeeded"
_DEADLINE_EXCEEDED = {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}


@dataclass(frozen=True)
class Decision:
    """Pods to create, names of pods to delete, and the owner's status where it changed.

    ``wait`` is the seconds after which to decide again though nothing changes, None without such a time.
    """

    create: tuple[Json, ...] = ()
    delete: tuple[str, ...] = ()
    status: Json | None = None
    wait: float | None = None


class PodControllers:
    """Brings the Pods of each Job and Deployment to what its spec asks for, whenever one of them changes."""

    def __init__(self, objects: Objects, problems: Problems) -> None:
        self._objects = objects
        self._problems = problems
        self._queue = WorkQueue()

    def handle(self, change: Change) -> None:
        """A change of any object."""
        document = change.document
        if document["kind"] in _DECIDE and not change.deleted:
            self._queue.add(key_of(document["kind"], document))
        elif document["kind"] == "Pod":
            for owner in document["metadata"].get("ownerReferences", ()):
                self._queue.add(ObjectKey(owner["kind"], document["metadata"]["namespace"], owner["name"]))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            key = await self._queue.get()
            part = f"pods of {key.kind} {key.name}"
            try:
                self._reconcile(key)
            except ObjectNotFound:
                pass  # the owner was deleted, and its pods with it
            except Exception as error:  # whatever is wrong with one owner must not stop the others
                self._queue.retry(key)
                self._problems.report(part, error)
                continue
            finally:
                self._queue.done(key)
            self._queue.reset_backoff(key)
            self._problems.solved(part)

    def _reconcile(self, key: ObjectKey) -> None:
        owner = self._objects.get(*key)
        pods = self._objects.list("Pod", owner_uid=owner["metadata"]["uid"])
        decision = _DECIDE[key.kind](owner, pods, time.time())
        for pod in decision.create:
            self._objects.apply(pod)
        for name in decision.delete:
            self._objects.delete("Pod", key.namespace, name)
        if decision.status is not None:
            self._objects.set_status(*key, decision.status, uid=owner["metadata"]["uid"])
        if decision.wait is not None:
            self._queue.add(key, decision.wait)


def backoff(failures: int) -> float:
    """Seconds to wait before the next pod after this many failures."""
    return float(min(BACKOFF_FIRST * 2 ** max(failures - 1, 0), BACKOFF_MAX))


def decide_job(job: Json, pods: list[Json], now: float) -> Decision:
    """The next step of an Indexed Job. ``pods`` are its own, oldest first; ``now`` in seconds."""
    if any(c["status"] == "True" for c in job.get("status", {}).get("conditions", [])):
        return Decision()
    active = tuple(p["metadata"]["name"] for p in pods if _phase(p) not in (FAILED, SUCCEEDED))
    if job["spec"].get("suspend"):
        return Decision(delete=active, status=_job_status(job, {}))
    begun = job.get("status", {}).get("startTime") or format_ms(int(now * 1000))
    free = job["spec"]["parallelism"] - len(active)
    create: list[Json] = []
    succeeded: list[int] = []
    failed: dict[int, str] = {}
    waits: list[float] = []
    for index in range(job["spec"]["completions"]):
        attempts = [p for p in pods if p["metadata"]["annotations"].get(INDEX_ANNOTATION) == str(index)]
        newest = attempts[-1] if attempts else None
        phase = _phase(newest) if newest else None
        if newest is None:
            create.append(new_pod(job, index))
        elif phase == SUCCEEDED:
            succeeded.append(index)
        elif phase == FAILED:
            if (reason := _final_failure(job, attempts)) is not None:
                failed[index] = reason
            elif (wait := newest["status"]["finishedAt"] + backoff(len(attempts)) - now) <= 0:
                create.append(new_pod(job, index))
            else:
                waits.append(wait)
    progress = _progress(job, begun, succeeded, failed, now)
    if "conditions" in progress:  # one index that fails for good ends the Job and all of its pods
        return Decision(delete=active, status=_job_status(job, progress))
    if (left := _seconds_left(job, begun, now)) is not None:
        if left <= 0:
            return Decision(delete=active, status=_job_status(job, progress | _DEADLINE_EXCEEDED))
        waits.append(left)
    return Decision(
        create=tuple(create[: max(free, 0)]),
        delete=active[free:] if free < 0 else (),
        status=_job_status(job, progress),
        wait=min(waits, default=None),
    )


def _phase(pod: Json) -> str | None:
    """None until the kubelet has started the pod."""
    phase: str | None = pod.get("status", {}).get("phase")
    return phase


def _final_failure(job: Json, pods: list[Json]) -> str | None:
    code = pods[-1]["status"].get("exitCode")
    for rule in job["spec"].get("podFailurePolicy", {}).get("rules", []):
        if rule["action"] == "FailJob" and code in rule["onExitCodes"]["values"]:
            return f"exit code {code} is final"
    limit = job["spec"].get("backoffLimit", 6)
    return f"failed {len(pods)} times" if len(pods) > limit else None


def _seconds_left(job: Json, begun: str, now: float) -> float | None:
    """Seconds until the Job exceeds its time limit; None without one."""
    limit: float | None = job["spec"].get("activeDeadlineSeconds")
    return limit - (now - time_ms(begun) / 1000) if limit is not None else None


def _job_status(job: Json, status: Json) -> Json | None:
    """The status to write, None where the Job has it. Without ``startTime`` the time limit begins again."""
    return status if status != job.get("status", {}) else None


def _progress(job: Json, begun: str, done: list[int], failed: dict[int, str], now: float) -> Json:
    total = job["spec"]["completions"]
    status: Json = {"startTime": begun, "succeeded": len(done), "failed": len(failed)}
    if len(done) == total:
        status["conditions"] = [{"type": "Complete", "status": "True"}]
        status["completionTime"] = format_ms(int(now * 1000))
    elif failed:
        message = "; ".join(f"index {index}: {reason}" for index, reason in failed.items())
        status["conditions"] = [{"type": "Failed", "status": "True", "message": message}]
    return status


def decide_deployment(deployment: Json, pods: list[Json], now: float) -> Decision:
    """The next step of a Deployment: as many pods of the current template as replicas."""
    generation = str(deployment["metadata"]["generation"])
    replicas = deployment["spec"]["replicas"]
    current = [p for p in pods if p["metadata"]["annotations"].get("generation") == generation]
    active = [p for p in current if _phase(p) not in (FAILED, SUCCEEDED)]
    ended = [p for p in current if _phase(p) in (FAILED, SUCCEEDED)]
    recent = [p for p in ended if now - p["status"]["finishedAt"] < RECENT_SECONDS]
    missing = max(replicas - len(active), 0)
    wait = recent[-1]["status"]["finishedAt"] + backoff(len(recent)) - now if missing and recent else 0.0
    delete = [p for p in pods if p not in current] + active[replicas:] + ended[:-KEPT_ENDED_PODS]
    return Decision(
        create=tuple(new_pod(deployment, None) for _ in range(missing if wait <= 0 else 0)),
        delete=tuple(p["metadata"]["name"] for p in delete),
        wait=wait if wait > 0 else None,
    )


_DECIDE: dict[str, Callable[[Json, list[Json], float], Decision]] = {
    "Job": decide_job,
    "Deployment": decide_deployment,
}


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
