"""From a resource, what was observed of it, and the time, to what should be. Pure: no I/O, no client, no clock."""

from __future__ import annotations

from tapedeck_crds.base import time_ms
from tapedeck_crds.kinds import Backtest, Feed, Replay, Resource
from tapedeck_operator.plan.backtest import plan_backtest
from tapedeck_operator.plan.feed import plan_feed
from tapedeck_operator.plan.replay import plan_replay
from tapedeck_operator.plan.status import as_json, told_after_end
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
    "plan",
]


def plan(resource: Resource, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """What should be of a resource. A finished one gets nothing more, and is deleted when its time is over."""
    if resource.finished:
        end = _end_of_life(resource)
        over = end is not None and now_ms >= end
        return Plan(status=as_json(told_after_end(resource)), expired=over, requeue_at_ms=None if over else end)
    if isinstance(resource, Feed):
        return plan_feed(resource, observed, now_ms, settings)
    if isinstance(resource, Replay):
        return plan_replay(resource, observed, now_ms, settings)
    if isinstance(resource, Backtest):
        return plan_backtest(resource, observed, now_ms, settings)
    raise TypeError(f"no plan for a {type(resource).__name__}")


def _end_of_life(resource: Resource) -> int | None:
    ttl: int | None = resource.spec.ttl_seconds_after_finished
    if ttl is None or resource.status is None or resource.status.finished_at is None:
        return None
    ended: str = resource.status.finished_at
    return time_ms(ended) + ttl * 1000
