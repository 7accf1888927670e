"""The status of a resource, with its conditions, and the events that record its transitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource, Condition
from tapedeck_crds.resource import Status
from tapedeck_operator.plan import reasons
from tapedeck_operator.plan.run_status import RunStatus
from tapedeck_operator.plan.types import ActionFailure, Event

READY = "Ready"
FINISHED = "Finished"
APPLIED = "Applied"  # set only after a child could not be applied
DEGRADED = "Degraded"  # set only after too many rows were refused
PODS_FAILING = "PodsFailing"  # set only after pods failed repeatedly, or one could not start


def resource_status(
    resource: AnyResource,
    state: RunStatus,
    now_ms: int,
    *,
    observed_generation: int | None = None,
    failure: ActionFailure | None = None,
) -> Status:
    """The status for the state of a run. A condition keeps its transition time while its status is unchanged.

    A failed action explains a run that is Pending; it does not change the phase of one that is running.
    """
    previous: Status | None = resource.status
    generation = resource.metadata.generation if observed_generation is None else observed_generation
    if failure is not None and state.phase == "Pending":
        state = replace(state, reason=failure.reason, message=failure.message)
    if state.degraded:
        state = _degraded(state)
    failing = None if state.final else state.failing
    if failing is not None and state.phase in ("Running", "Paused"):
        state = replace(state, message="; ".join(filter(None, (state.message, failing.message))))
    working = state.phase in ("Running", "Paused")
    now = format_ms(now_ms)

    def condition(kind: str, holds: bool, reason: str, message: str) -> Condition:
        return _condition(previous, kind, holds, reason, message, now, generation)

    conditions = [
        condition(READY, working, state.reason, state.message),
        condition(FINISHED, state.final, state.reason if state.final else reasons.NOT_FINISHED, state.message),
    ]
    had = {c.type for c in previous.conditions} if previous is not None else set()
    if failure is not None:
        conditions.append(condition(APPLIED, False, failure.reason, failure.message))
    elif APPLIED in had:
        conditions.append(condition(APPLIED, True, reasons.APPLIED, ""))
    if state.degraded:
        conditions.append(condition(DEGRADED, True, reasons.ROWS_REFUSED, state.degraded))
    elif DEGRADED in had:
        conditions.append(condition(DEGRADED, False, reasons.ROWS_TAKEN, ""))
    if failing is not None:
        conditions.append(condition(PODS_FAILING, True, failing.reason, failing.message))
    elif PODS_FAILING in had:
        conditions.append(condition(PODS_FAILING, False, reasons.NOT_FAILING, ""))
    previous_fields = previous.model_dump() if previous is not None else {}
    fields = {
        **previous_fields,
        "phase": state.phase,
        "observed_generation": generation,
        "conditions": [c.model_dump() for c in conditions],
        "message": state.message or None,
        "started_at": previous_fields.get("started_at") or (now if working or state.final else None),
        "finished_at": previous_fields.get("finished_at") or (now if state.final else None),
        **state.fields,
    }
    return resource.status_type.model_validate(fields)


def finished_status(resource: AnyResource) -> Status:
    """The status of a finished run. A spec changed after the end is acknowledged in the condition Finished."""
    status = resource.status
    if status is None:
        raise TypeError("expected the status of a finished run")
    generation = resource.metadata.generation
    if (status.observed_generation or 0) >= generation:
        return status
    message = f"the run had finished before generation {generation} of its spec, which therefore changes nothing"
    conditions = [
        c.model_copy(update={"message": message, "observed_generation": generation}) if c.type == FINISHED else c
        for c in status.conditions
    ]
    return status.model_copy(update={"conditions": conditions, "observed_generation": generation})


def transition_events(resource: AnyResource, status: Status, warning: bool) -> tuple[Event, ...]:
    """An event if the phase changes, a Pending run gets another reason, or pods of one that works begin to fail."""
    previous: Status | None = resource.status
    reason = status.conditions[0].reason
    if previous is not None and previous.phase == status.phase:
        previous_reason = previous.conditions[0].reason if previous.conditions else ""
        if status.phase != "Pending":
            before, failing = _pods_failing(previous), _pods_failing(status)
            return (Event("Warning", failing.reason, failing.message),) if failing and not before else ()
        if previous_reason == reason:
            return ()
    is_warning = status.phase == "Failed" or warning
    return (Event("Warning" if is_warning else "Normal", reason, status.message or f"phase is now {status.phase}"),)


def status_document(status: Status) -> Json:
    """The status as JSON with the field names of the API."""
    return status.model_dump(by_alias=True, exclude_none=True)


def _pods_failing(status: Status) -> Condition | None:
    return next((c for c in status.conditions if c.type == PODS_FAILING and c.status == "True"), None)


def _degraded(state: RunStatus) -> RunStatus:
    message = "; ".join(filter(None, (state.message, state.degraded)))
    if state.phase == "Complete":
        return replace(state, phase="Degraded", reason=reasons.ROWS_REFUSED, message=message)
    return replace(state, message=message) if state.phase == "Running" else state


def _condition(
    previous: Status | None, kind: str, holds: bool, reason: str, message: str, now: str, generation: int
) -> Condition:
    status: Literal["True", "False"] = "True" if holds else "False"
    before = next((c for c in (previous.conditions if previous else []) if c.type == kind), None)
    changed = before is None or before.status != status
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=now if changed or before is None else before.last_transition_time,
        observed_generation=generation,
    )
