"""What has happened to a resource: its events, and the last lines that its pods have logged."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tapedeck_crds.json import Json
from tapedeck_crds.text import printable
from tapedeck_gateway.api_types.resources import EventPage, PodLog, ResourceEvent, ResourceLog
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi

PODS_MAX = 16  # the newest of a resource
TEXT_MAX = 4_000  # characters of a line


def events_of(api: KubernetesApi, resource: Json, limit: int) -> EventPage:
    """The events of a resource, oldest first."""
    metadata = resource["metadata"]
    found = [_event(each) for each in api.events(metadata["namespace"], metadata["uid"], limit)]
    return EventPage(sorted(found, key=lambda event: event.ts), None)


def without_messages(page: EventPage) -> EventPage:
    """The events by their reasons alone: a message may hold figures of a run."""
    return EventPage([msgspec.structs.replace(event, message="") for event in page.events], page.next)


def logs_of(api: KubernetesApi, resource: Json, lines: int) -> ResourceLog:
    """The last lines of each of the newest pods of a resource, the oldest pod first."""
    metadata = resource["metadata"]
    namespace = metadata["namespace"]
    pods = sorted(api.pods(namespace, metadata["uid"]), key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    return ResourceLog([_log(api, namespace, pod, lines) for pod in pods[-PODS_MAX:]])


def _log(api: KubernetesApi, namespace: str, pod: Json, lines: int) -> PodLog:
    name = pod["metadata"]["name"]
    text = api.log(namespace, name, lines)
    shown = [printable(line, keep="\t")[:TEXT_MAX] for line in text.splitlines()[-lines:]]
    return PodLog(name, (pod.get("status") or {}).get("phase") or "Pending", shown)


def _event(event: Json) -> ResourceEvent:
    """An event of `events.k8s.io/v1`, one of an older writer, too."""
    series = event.get("series") or {}
    first = event.get("eventTime") or event.get("deprecatedFirstTimestamp") or event["metadata"]["creationTimestamp"]
    last = series.get("lastObservedTime") or event.get("deprecatedLastTimestamp") or first
    return ResourceEvent(
        ts=_ms(last),
        first=_ms(first),
        count=series.get("count") or event.get("deprecatedCount") or 1,
        type=event.get("type") or "Normal",
        reason=event.get("reason") or "",
        message=printable(event.get("note") or "", keep="\n"),
    )


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
