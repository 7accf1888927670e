"""kopf, for watching alone: each event is handed on, nothing is written, no finalizer, no annotation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import kopf

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import GROUP, VERSION
from tapedeck_operator.cluster.login import login_through
from tapedeck_operator.cluster.silence import CUT, Silence
from tapedeck_operator.plan.names import UID_LABEL

Sink = Callable[[str, str | None, Json], None]
"""(kind, ADDED | MODIFIED | DELETED, or None for what was there already, object)"""

CANARY_LABEL = f"{GROUP}/canary"

# Kind → (group, version, plural) and the labels that the server is to filter by.
WATCHED: dict[str, tuple[tuple[str, str, str], str]] = {
    "Feed": ((GROUP, VERSION, "feeds"), ""),
    "Replay": ((GROUP, VERSION, "replays"), ""),
    "Backtest": ((GROUP, VERSION, "backtests"), ""),
    "Job": (("batch", "v1", "jobs"), UID_LABEL),
    "Deployment": (("apps", "v1", "deployments"), UID_LABEL),
    "Pod": (("", "v1", "pods"), UID_LABEL),
    "NetworkPolicy": (("networking.k8s.io", "v1", "networkpolicies"), UID_LABEL),
    "Lease": (("coordination.k8s.io", "v1", "leases"), CANARY_LABEL),
}


def kopf_settings(lasts: int) -> kopf.OperatorSettings:
    """How kopf is to behave: watches end after so many seconds and go on, nothing is posted, errors are retried."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = lasts
    settings.watching.client_timeout = CUT * lasts
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


def registry(sink: Sink, silence: Silence) -> kopf.OperatorRegistry:
    """Handlers for all that is watched; each only hands on."""
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers)(login_through(_telling(silence)))
    for kind, ((group, version, plural), _) in WATCHED.items():
        kopf.on.event(group, version, plural, registry=handlers, id=plural)(_handing_on(kind, sink, silence))
    return handlers


async def watch(sink: Sink, silence: Silence, namespace: str) -> None:
    """Watch one namespace, or all where it is empty, until SIGTERM: kopf takes the signal over."""
    await kopf.operator(
        registry=registry(sink, silence),
        settings=kopf_settings(silence.lasts),
        standalone=True,
        clusterwide=not namespace,
        namespaces=[namespace] if namespace else [],
    )


def _telling(silence: Silence) -> aiohttp.ClientMiddlewareType:
    """Tells of each kind that kopf asks for, and of each watch that it is granted."""
    kinds = {plural: kind for kind, ((_, _, plural), _) in WATCHED.items()}

    async def tell(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        kind = kinds.get(request.url.name)
        if kind is None:
            return await handler(request)
        silence.asked(kind)
        response = await handler(request)
        if "watch" in request.url.query:
            silence.opened(kind)
        return response

    return tell


def _handing_on(kind: str, sink: Sink, silence: Silence) -> Any:
    async def hand_on(event: kopf.RawEvent, **_: Any) -> None:
        silence.heard(kind)
        sink(kind, event["type"], dict(event["object"]))

    return hand_on
