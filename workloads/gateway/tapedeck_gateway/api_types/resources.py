"""Feeds, Replays and Backtests, and what has happened to them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tapedeck_gateway.api_types.fields import Ms, Next


class ShownResource(msgspec.Struct, frozen=True, rename="camel"):
    """A Feed, Replay or Backtest as Kubernetes has it."""

    api_version: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]
    status: dict[str, Any] = {}


class FeedPage(msgspec.Struct, frozen=True):
    """Feeds, by namespace and name."""

    feeds: list[ShownResource]
    next: Next


class ReplayPage(msgspec.Struct, frozen=True):
    """Replays, by namespace and name."""

    replays: list[ShownResource]
    next: Next


class BacktestPage(msgspec.Struct, frozen=True):
    """Backtests, by namespace and name."""

    backtests: list[ShownResource]
    next: Next


class ReplayControlled(msgspec.Struct, frozen=True):
    """A Replay after a control: the generation of its spec, and its status, which follows."""

    generation: int
    status: dict[str, Any]


class ResourceEvent(msgspec.Struct, frozen=True):
    """An event of a resource. ``ts`` is when it occurred last, ``first`` when it did first."""

    ts: Ms
    first: Ms
    count: int
    type: Annotated[str, msgspec.Meta(description="Normal or Warning.")]
    reason: str
    message: str


class EventPage(msgspec.Struct, frozen=True):
    """The newest events, oldest first; `next` has those before them."""

    events: list[ResourceEvent]
    next: Next


class PodLog(msgspec.Struct, frozen=True):
    """The last lines of a pod's log."""

    pod: str
    phase: str
    lines: list[str]


class ResourceLog(msgspec.Struct, frozen=True):
    """The logs of a resource's newest pods, the oldest pod first."""

    pods: list[PodLog]


class StoredSource(msgspec.Struct, frozen=True):
    """The ConfigMap with a strategy's source, and the key that has it."""

    namespace: str
    name: str
    key: str
