"""The state of a run, computed from its Job and its pods. ``conditions`` turns it into a resource's status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Phase
from tapedeck_crds.report import Report
from tapedeck_crds.resource import FINAL_PHASES, Status
from tapedeck_operator.plan import reasons
from tapedeck_operator.plan.types import Observed, ObservedPod

R = TypeVar("R", bound=Report)

_WORST_FIRST = ("Failed", "Pending", "Paused", "Running", "Complete")

# The phase for the state that a pod reports. A complete pod is Running and a failed one Pending until the Job's
# conditions say whether the Job is complete, failed, or starts another pod.
_PHASES: dict[str, Phase] = {
    "starting": "Pending",
    "waiting": "Pending",
    "running": "Running",
    "paused": "Paused",
    "holding": "Running",
    "complete": "Running",
    "failed": "Pending",
}


@dataclass(frozen=True)
class PodFailure:
    """Why pods of a run fail one after another, or one cannot start."""

    reason: str
    message: str


@dataclass(frozen=True)
class RunStatus:
    """The state of a run. ``warning`` makes its events Warnings.

    ``fields`` are the status fields of its kind: None removes one, and one that is not there stays as it was.

    ``recheck_at_ms`` is the time (ms UTC) at which the state changes although nothing else does.
    ``degraded`` says why a run that works, or is Complete, does so with a part of its input only; ``failing`` why pods
    of it do not work, though others may.
    """

    phase: Phase
    reason: str
    message: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    warning: bool = False
    recheck_at_ms: int | None = None
    degraded: str = ""
    failing: PodFailure | None = None

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self.phase in FINAL_PHASES


def run_status(observed: Observed, previous: Status | None) -> RunStatus:
    """The state of a run of one pod.

    A running pod that has not reported yet keeps the phase of the ``previous`` status: its report may only be late.
    """
    pod = observed.newest()
    end = _job_end(observed.job)
    report = pod.report if pod is not None else None
    if end == "Complete":
        return RunStatus("Complete", reasons.COMPLETE, report_message(report) if report else "")
    if end == "Failed":
        return _deadline_exceeded(observed.job) or _failed(pod, observed.job)
    if pod is not None and pod.phase == "Failed":
        return restarting(observed.pods, pod)
    before = _working_status(previous)
    if _is_starting(pod, before is not None) and (failed := _failed_predecessor(observed)) is not None:
        return restarting(observed.pods, failed)
    if pod is None or pod.phase == "Pending":
        return not_running_status(pod)
    if report is None:
        return before or RunStatus("Pending", reasons.STARTING, "the pod has not reported yet")
    return RunStatus(_PHASES[report.state], report.reason or report.state.capitalize(), report_message(report))


def sharded_run_status(observed: Observed, previous: Status | None, shards: int) -> RunStatus:
    """The state of a run of several pods: that of its worst shard, a failure with a specific reason first."""
    if shards == 1:
        return run_status(observed, previous)
    if (exceeded := _deadline_exceeded(observed.job)) is not None:
        return exceeded
    states = []
    for index in range(shards):
        pods = tuple(replace(pod, index=0) for pod in observed.pods if pod.index == index)
        states.append(of_shard(run_status(replace(observed, pods=pods), previous), index))
    unspecific = (reasons.JOB_FAILED, reasons.POD_FAILED)
    explained = [state for state in states if state.phase == "Failed" and state.reason not in unspecific]
    return explained[0] if explained else min(states, key=_worst_first)


def of_shard(state: RunStatus, index: int) -> RunStatus:
    """The state with messages that name the shard."""
    failing = state.failing
    if failing is not None:
        failing = replace(failing, message=f"shard {index}: {failing.message}")
    if state.message and state.phase in ("Pending", "Failed"):
        state = replace(state, message=f"shard {index}: {state.message}")
    return replace(state, failing=failing)


def restarting(pods: Iterable[ObservedPod], failed: ObservedPod) -> RunStatus:
    """The state of a shard of which a pod failed. The first failure is no warning: the next pod may work."""
    message = _failure_message(failed)
    if sum(pod.phase == "Failed" for pod in pods) > 1:
        return _failing_status(failed.reason or reasons.CRASH_LOOP, message)
    return RunStatus("Pending", reasons.RESTARTING, message)


def not_running_status(pod: ObservedPod | None) -> RunStatus:
    """The state of a run whose pod does not exist yet, is pending, or runs without its container."""
    if pod is None:
        return RunStatus("Pending", reasons.STARTING, "the pod is being created")
    if not pod.reason:
        return RunStatus("Pending", reasons.STARTING, pod.problem)
    return _failing_status(pod.reason, pod.problem)


def job_ended(job: Json | None) -> bool:
    """Whether the Job is complete or failed."""
    return _job_end(job) is not None


def report_message(report: Report) -> str:
    """The message of a report, and what the sandbox of users' code lacks on its node."""
    return "; ".join(filter(None, (report.message, report.sandbox)))


def newest_report(observed: Observed, kind: type[R]) -> R | None:
    """The newest report of any pod if it is of that kind. While a new pod starts, its predecessor's counts."""
    newest = next((pod.report for pod in reversed(observed.pods) if pod.report is not None), None)
    return newest if isinstance(newest, kind) else None


def reports_of_index(observed: Observed, index: int, kind: type[R]) -> list[R]:
    """All reports of that kind by pods of an index, newest first."""
    reports = (pod.report for pod in reversed(observed.pods) if pod.index == index)
    return [report for report in reports if isinstance(report, kind)]


def _failing_status(reason: str, message: str) -> RunStatus:
    return RunStatus("Pending", reason, message, warning=True, failing=PodFailure(reason, message))


def _worst_first(state: RunStatus) -> tuple[int, bool]:
    return _WORST_FIRST.index(state.phase), state.failing is None


def _working_status(previous: Status | None) -> RunStatus | None:
    """The previous state if it was Running or Paused."""
    if previous is None or previous.phase is None or previous.phase not in ("Running", "Paused"):
        return None
    return RunStatus(previous.phase, previous.conditions[0].reason, previous.message or "")


def _is_starting(pod: ObservedPod | None, was_working: bool) -> bool:
    """Whether the newest pod is still starting, without a problem of its own."""
    if pod is None:
        return True
    if pod.reason:
        return False
    if pod.phase == "Pending":
        return True
    return pod.report.state == "starting" if pod.report is not None else not was_working


def _failed_predecessor(observed: Observed) -> ObservedPod | None:
    """The pod before the newest if it failed: its failure explains why the run is not working."""
    pods = [pod for pod in observed.pods if pod.index == 0]
    return pods[-2] if len(pods) > 1 and pods[-2].phase == "Failed" else None


def _job_end(job: Json | None) -> Literal["Complete", "Failed"] | None:
    if _condition(job, "Complete") is not None:
        return "Complete"
    return "Failed" if _condition(job, "Failed") is not None else None


def _condition(job: Json | None, kind: str) -> Json | None:
    conditions: list[Json] = (job or {}).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)


def _deadline_exceeded(job: Json | None) -> RunStatus | None:
    """The state of a run whose Job took longer than it may; its pods' reports do not tell so."""
    failed = _condition(job, "Failed")
    if job is None or failed is None or failed.get("reason") != reasons.DEADLINE_EXCEEDED:
        return None
    limit = job["spec"].get("activeDeadlineSeconds")
    message = f"spec.activeDeadlineSeconds: the run took longer than {limit} s and was ended"
    return RunStatus("Failed", reasons.DEADLINE_EXCEEDED, message, warning=True)


def _failed(pod: ObservedPod | None, job: Json | None) -> RunStatus:
    if pod is not None and pod.report is not None and pod.report.reason:
        return RunStatus("Failed", pod.report.reason, pod.report.message)
    if pod is not None and (pod.exit_code is not None or pod.problem):
        return RunStatus("Failed", pod.reason or reasons.POD_FAILED, _failure_message(pod))
    messages = [c.get("message", "") for c in (job or {}).get("status", {}).get("conditions", [])]
    return RunStatus("Failed", reasons.JOB_FAILED, "; ".join(m for m in messages if m) or "the Job failed")


def _failure_message(pod: ObservedPod) -> str:
    """Why a pod failed. What Kubernetes did to it explains more than what it said before."""
    said = pod.report.message if pod.report is not None else ""
    message = pod.problem or said if pod.reason else said or pod.problem
    return message or f"pod {pod.name} ended with exit code {pod.exit_code}; see its log"
