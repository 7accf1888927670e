"""kopf, used for its watches alone: it passes events on, and writes no finalizer, no annotation and no Event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import kopf

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import GROUP, VERSION
from tapedeck_operator.cluster.login import login_through
from tapedeck_operator.cluster.metrics import WATCH_EVENTS
from tapedeck_operator.cluster.watch_liveness import CUT, WatchLiveness
from tapedeck_operator.plan.names import UID_LABEL

EventHandler = Callable[[str, str | None, Json], None]
"""(kind; ADDED, MODIFIED, DELETED, or None for an object of the initial list; the object)"""

PROBE_LABEL = f"{GROUP}/watch-probe"

# Kind → (group, version, plural) and the label that the API server selects by.
WATCHED: dict[str, tuple[tuple[str, str, str], str]] = {
    "Feed": ((GROUP, VERSION, "feeds"), ""),
    "Replay": ((GROUP, VERSION, "replays"), ""),
    "Backtest": ((GROUP, VERSION, "backtests"), ""),
    "Job": (("batch", "v1", "jobs"), UID_LABEL),
    "Deployment": (("apps", "v1", "deployments"), UID_LABEL),
    "Pod": (("", "v1", "pods"), UID_LABEL),
    "NetworkPolicy": (("networking.k8s.io", "v1", "networkpolicies"), UID_LABEL),
    "Lease": (("coordination.k8s.io", "v1", "leases"), PROBE_LABEL),
}


def kopf_settings(watch_seconds: int) -> kopf.OperatorSettings:
    """kopf's settings: watches end after so many seconds and resume, kopf posts nothing, and it retries errors."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = watch_seconds
    settings.watching.client_timeout = CUT * watch_seconds
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 0.5
    settings.networking.error_backoffs = (0.5, 1, 2, 3, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5)
    settings.persistence.finalizer = f"{GROUP}/none"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    settings.process.ultimate_exiting_timeout = 20
    for (group, _, plural), selector in WATCHED.values():
        if selector:
            settings.watching.label_selectors[group, plural] = selector
    return settings


def registry(on_event: EventHandler, liveness: WatchLiveness) -> kopf.OperatorRegistry:
    """One handler for each watched kind, which passes its events to ``on_event``."""
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers)(login_through(_request_observer(liveness)))
    for kind, ((group, version, plural), _) in WATCHED.items():
        kopf.on.event(group, version, plural, registry=handlers, id=plural)(_handler(kind, on_event, liveness))
    return handlers


async def watch(on_event: EventHandler, liveness: WatchLiveness, namespace: str) -> None:
    """Watch one namespace, or all if it is empty, until SIGTERM: kopf installs its own signal handlers."""
    await kopf.operator(
        registry=registry(on_event, liveness),
        settings=kopf_settings(liveness.duration),
        standalone=True,
        clusterwide=not namespace,
        namespaces=[namespace] if namespace else [],
    )


def _request_observer(liveness: WatchLiveness) -> aiohttp.ClientMiddlewareType:
    """A middleware that reports each list and watch that kopf requests, and each watch that the server grants."""
    kinds = {plural: kind for kind, ((_, _, plural), _) in WATCHED.items()}

    async def observe(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        kind = kinds.get(request.url.name)
        if kind is None:
            return await handler(request)
        liveness.requested(kind)
        response = await handler(request)
        if "watch" in request.url.query:
            liveness.opened(kind)
        return response

    return observe


def _handler(kind: str, on_event: EventHandler, liveness: WatchLiveness) -> Any:
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        liveness.received(kind)
        WATCH_EVENTS.labels(kind).inc()
        on_event(kind, event["type"], dict(event["object"]))

    return handle
