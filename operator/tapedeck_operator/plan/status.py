"""Composing a status: phase and conditions from what was observed, and the transitions between two."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Condition, Phase, Resource
from tapedeck_crds.report import Report
from tapedeck_crds.resource import FINAL_PHASES, Status
from tapedeck_operator.plan.types import ActionFailure, Event, Observed, ObservedPod

R = TypeVar("R", bound=Report)

READY = "Ready"
FINISHED = "Finished"
APPLIED = "Applied"  # only there once a child could not be made

_PHASES: dict[str, Phase] = {
    "starting": "Pending",
    "waiting": "Pending",
    "running": "Running",
    "paused": "Paused",
    "holding": "Running",
    "complete": "Running",  # its Job has the last word
    "failed": "Pending",  # it is about to end, and its Job to start another or to give up
}


@dataclass(frozen=True)
class Verdict:
    """The state of a run: a phase, one word and one sentence why, whether that is bad, and facts of its kind."""

    phase: Phase
    reason: str
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    trouble: bool = False


def judge_run(observed: Observed, before: Status | None) -> Verdict:
    """The state of a run from its Job and its newest pod; as it was before, where that runs and was not asked yet."""
    pod = observed.newest()
    ended = _job_end(observed.job)
    report = pod.report if pod is not None else None
    if ended == "Complete":
        return Verdict("Complete", "Complete", report.message if report else "")
    if ended == "Failed":
        return _failed(pod, observed.job)
    if pod is not None and pod.phase == "Failed":
        return Verdict("Pending", "Restarting", _why(pod), trouble=True)
    worked = report is None and before is not None and before.phase in ("Running", "Paused")
    starting = pod is None or pod.phase == "Pending" or (report.state == "starting" if report else not worked)
    if starting and (pod is None or not pod.reason) and (failed := _failed_before(observed)) is not None:
        return Verdict("Pending", "Restarting", _why(failed), trouble=True)
    if pod is None or pod.phase == "Pending":
        reason = pod.reason if pod is not None and pod.reason else "Starting"
        return Verdict("Pending", reason, pod.problem if pod else "its pod is being made", trouble=reason != "Starting")
    if report is None and before is not None and before.phase in ("Running", "Paused"):
        return Verdict(before.phase, before.conditions[0].reason, before.message or "")
    if report is None:
        return Verdict("Pending", "Starting", "its pod has not answered yet")
    return Verdict(_PHASES[report.state], report.reason or report.state.capitalize(), report.message)


def _failed_before(observed: Observed) -> ObservedPod | None:
    """The pod that the newest one follows, where it failed: until that is at work, this one says why there is none."""
    mine = [pod for pod in observed.pods if pod.index == 0]
    return mine[-2] if len(mine) > 1 and mine[-2].phase == "Failed" else None


def _job_end(job: Json | None) -> Literal["Complete", "Failed"] | None:
    for condition in (job or {}).get("status", {}).get("conditions", []):
        if condition["status"] == "True":
            if condition["type"] == "Complete":
                return "Complete"
            if condition["type"] == "Failed":
                return "Failed"
    return None


def job_ended(job: Json | None) -> bool:
    """Whether the Job has come to its end, good or bad."""
    return _job_end(job) is not None


def _failed(pod: ObservedPod | None, job: Json | None) -> Verdict:
    if pod is not None and pod.report is not None and pod.report.reason:
        return Verdict("Failed", pod.report.reason, pod.report.message)
    if pod is not None and (pod.exit_code is not None or pod.problem):
        return Verdict("Failed", pod.reason or "PodFailed", _why(pod))
    messages = [c.get("message", "") for c in (job or {}).get("status", {}).get("conditions", [])]
    return Verdict("Failed", "JobFailed", "; ".join(m for m in messages if m) or "its Job failed")


def _why(pod: ObservedPod) -> str:
    said = pod.report.message if pod.report is not None and pod.report.message else pod.problem
    return said or f"pod {pod.name} ended with exit code {pod.exit_code}; see its log"


def compose(
    resource: Resource,
    verdict: Verdict,
    now_ms: int,
    *,
    observed_generation: int | None = None,
    refusal: ActionFailure | None = None,
) -> Status:
    """The status that says the verdict; conditions keep their transition times where nothing changed.

    A refusal explains a run that does not start, and does not disturb one that runs.
    """
    old: Status | None = resource.status
    generation = resource.metadata.generation if observed_generation is None else observed_generation
    if refusal is not None and verdict.phase == "Pending":
        verdict = replace(verdict, reason=refusal.reason, message=refusal.message)
    final = verdict.phase in FINAL_PHASES
    working = verdict.phase in ("Running", "Paused")
    moment = format_ms(now_ms)
    conditions = [
        _condition(old, READY, working, verdict.reason, verdict.message, moment, generation),
        _condition(
            old, FINISHED, final, verdict.reason if final else "NotFinished", verdict.message, moment, generation
        ),
    ]
    if refusal is not None:
        conditions.append(_condition(old, APPLIED, False, refusal.reason, refusal.message, moment, generation))
    elif old is not None and any(c.type == APPLIED for c in old.conditions):
        conditions.append(_condition(old, APPLIED, True, "Applied", "", moment, generation))
    status_type = type(resource).model_fields["status"].annotation
    model = next(t for t in status_type.__args__ if t is not type(None))  # type: ignore[union-attr]
    kept = old.model_dump() if old is not None else {}
    fields = {
        **kept,
        "phase": verdict.phase,
        "observed_generation": generation,
        "conditions": [c.model_dump() for c in conditions],
        "message": verdict.message or None,
        "started_at": kept.get("started_at") or (moment if working or final else None),
        "finished_at": kept.get("finished_at") or (moment if final else None),
        **{name: value for name, value in verdict.facts.items() if value is not None},
    }
    composed: Status = model.model_validate(fields)
    return composed


def told_after_end(resource: Resource) -> Status:
    """The status of a finished run: it says of a later change of the spec that it came after the end."""
    status: Status = resource.status
    generation = resource.metadata.generation
    if (status.observed_generation or 0) >= generation:
        return status
    late = f"the run was over before generation {generation} of its spec, which therefore changes nothing"
    conditions = [
        c.model_copy(update={"message": late, "observed_generation": generation}) if c.type == FINISHED else c
        for c in status.conditions
    ]
    return status.model_copy(update={"conditions": conditions, "observed_generation": generation})


def _condition(
    old: Status | None, kind: str, holds: bool, reason: str, message: str, moment: str, generation: int
) -> Condition:
    status: Literal["True", "False"] = "True" if holds else "False"
    before = next((c for c in (old.conditions if old else []) if c.type == kind), None)
    changed = before is None or before.status != status
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=moment if changed or before is None else before.last_transition_time,
        observed_generation=generation,
    )


def transitions(resource: Resource, status: Status, trouble: bool) -> tuple[Event, ...]:
    """An event where the phase changed, or a pending run has a new reason."""
    old: Status | None = resource.status
    reason = status.conditions[0].reason
    if old is not None and old.phase == status.phase:
        before = old.conditions[0].reason if old.conditions else ""
        if status.phase != "Pending" or before == reason:
            return ()
    bad = status.phase == "Failed" or trouble
    return (Event("Warning" if bad else "Normal", reason, status.message or f"now {status.phase}"),)


def as_json(status: Status) -> Json:
    """A status as it is written."""
    return status.model_dump(by_alias=True, exclude_none=True)


def of_type(report: Report | None, kind: type[R]) -> R | None:
    """The report where it is of the wanted kind, else None."""
    return report if isinstance(report, kind) else None
