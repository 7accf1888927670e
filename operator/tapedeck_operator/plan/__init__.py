"""The planner: a pure function from a resource, its observed state and the time to its desired state."""

from __future__ import annotations

from tapedeck_crds.base import time_ms
from tapedeck_crds.kinds import AnyResource, Backtest, Feed, Replay
from tapedeck_operator.plan.backtest import plan_backtest
from tapedeck_operator.plan.conditions import finished_status, status_document
from tapedeck_operator.plan.feed import plan_feed
from tapedeck_operator.plan.job_plan import expiry_ms
from tapedeck_operator.plan.replay import plan_replay
from tapedeck_operator.plan.secret_references import plan_refused
from tapedeck_operator.plan.types import (
    ActionFailure,
    ControlRequest,
    Event,
    Network,
    Observed,
    ObservedPod,
    Patch,
    Plan,
    Settings,
    Tracing,
)

__all__ = [
    "ActionFailure",
    "ControlRequest",
    "Event",
    "Network",
    "Observed",
    "ObservedPod",
    "Patch",
    "Plan",
    "Settings",
    "Tracing",
    "plan",
]


def plan(resource: AnyResource, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The desired state of a resource. A finished one gets no children and is deleted when its time to live ends."""
    if resource.finished:
        return _plan_finished(resource, now_ms)
    if (refused := plan_refused(resource, observed, now_ms, settings)) is not None:
        return refused
    if isinstance(resource, Feed):
        return plan_feed(resource, observed, now_ms, settings)
    if isinstance(resource, Replay):
        return plan_replay(resource, observed, now_ms, settings)
    if isinstance(resource, Backtest):
        return plan_backtest(resource, observed, now_ms, settings)
    raise TypeError(f"resource: got a {type(resource).__name__}, expected a Feed, Replay or Backtest")


def _plan_finished(resource: AnyResource, now_ms: int) -> Plan:
    finished_at: str | None = resource.status.finished_at if resource.status is not None else None
    expiry = expiry_ms(resource, time_ms(finished_at)) if finished_at is not None else None
    expired = expiry is not None and now_ms >= expiry
    status = status_document(finished_status(resource))
    return Plan(status=status, expired=expired, requeue_at_ms=None if expired else expiry)
