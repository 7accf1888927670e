"""What has happened to a resource: its events, and the last lines that its pods have logged."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from tapedeck_crds.json import Json
from tapedeck_crds.text import printable
from tapedeck_gateway.api_types.resources import PodLog, ResourceEvent, ResourceLog
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi

PODS_MAX = 16  # the newest of a resource
TEXT_MAX = 4_000  # characters of a line


class EventPlace(NamedTuple):
    """Where an event stands: its time, and its name among those of one time."""

    ts: int
    name: str


def events_of(
    api: KubernetesApi, resource: Json, before: EventPlace | None, limit: int
) -> tuple[list[ResourceEvent], EventPlace | None]:
    """The newest events of a resource before a place, oldest first; the place of the first where there are earlier."""
    metadata = resource["metadata"]
    named = [(each["metadata"]["name"], _event(each)) for each in api.events(metadata["namespace"], metadata["uid"])]
    found = sorted(((EventPlace(event.ts, name), event) for name, event in named), key=lambda each: each[0])
    earlier = found if before is None else [each for each in found if each[0] < before]
    page = earlier[-limit:]
    return [event for _, event in page], page[0][0] if len(earlier) > limit else None


def without_message(event: ResourceEvent) -> ResourceEvent:
    """An event by its reason alone: a message may hold figures of a run."""
    return msgspec.structs.replace(event, message="")


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
