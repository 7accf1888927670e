"""`tapedeck describe`: everything about one object, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from tapedeck_crds.json import Json
from tapedeck_crds.text import printable
from tapedeck_deck.cli.kinds import owned_pods
from tapedeck_deck.cli.output import YAML, as_text
from tapedeck_deck.cli.text_table import TextTable, age
from tapedeck_deck.embedded.objects import Objects

_INDEX = "batch.kubernetes.io/job-completion-index"


def describe(objects: Objects, document: Json) -> str:
    """The text: metadata, spec, status, conditions, pods with restarts and logs, and events."""
    now = datetime.now(UTC)
    return "\n".join(
        [
            *_head(document, now),
            *_block("Spec", document.get("spec")),
            *_block("Status", {k: v for k, v in document.get("status", {}).items() if k != "conditions"}),
            *_conditions(document, now),
            *_pods(owned_pods(objects, document), now),
            *_events(objects.events(document["metadata"]["uid"]), now),
        ]
    )


def description(objects: Objects, document: Json) -> Json:
    """The same as an object: ``resource``, its ``pods`` and its ``events``."""
    events = objects.events(document["metadata"]["uid"])
    return {"resource": document, "pods": owned_pods(objects, document), "events": events}


def _age_since(text: str, now: datetime) -> str:
    return age(datetime.fromisoformat(text), now) if text else ""


def _head(document: Json, now: datetime) -> Iterator[str]:
    metadata = document["metadata"]
    facts = {
        "Name": metadata["name"],
        "Namespace": metadata["namespace"],
        "Kind": f"{document['kind']} ({document['apiVersion']})",
        "UID": metadata["uid"],
        "Generation": metadata["generation"],
        "Created": f"{metadata['creationTimestamp']} ({_age_since(metadata['creationTimestamp'], now)} ago)",
        "Labels": ", ".join(f"{k}={v}" for k, v in metadata.get("labels", {}).items()) or "<none>",
        "Annotations": ", ".join(f"{k}={v}" for k, v in metadata.get("annotations", {}).items()) or "<none>",
    }
    for name, value in facts.items():
        yield f"{name + ':':<14}{printable(str(value))}"


def _block(title: str, value: Any) -> Iterator[str]:
    if not value:
        yield f"{title}: <none>"
        return
    yield f"{title}:"
    for line in as_text(value, YAML).splitlines():
        yield f"  {line}"


def _table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        yield f"{title}: <none>"
        return
    yield f"{title}:"
    for line in TextTable(headers).lines(rows):
        yield f"  {line}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _conditions(document: Json, now: datetime) -> Iterator[str]:
    rows = [
        [
            c["type"],
            c["status"],
            c["reason"],
            _age_since(c.get("lastTransitionTime", ""), now),
            _one_line(c.get("message", "")),
        ]
        for c in document.get("status", {}).get("conditions", [])
    ]
    return _table("Conditions", ["type", "status", "reason", "age", "message"], rows)


def _pods(pods: list[Json], now: datetime) -> Iterator[str]:
    rows: list[list[str]] = []
    predecessors: dict[tuple[str, str], int] = {}
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        index = metadata.get("annotations", {}).get(_INDEX, "")
        owner = next((each["uid"] for each in metadata.get("ownerReferences", ())), "")
        restarts = predecessors.get((owner, index), 0)
        predecessors[owner, index] = restarts + 1
        rows.append(
            [
                metadata["name"],
                index,
                status.get("phase", "Pending"),
                str(status.get("exitCode", "")),
                str(restarts),
                _age_since(metadata["creationTimestamp"], now),
                status.get("log", ""),
            ]
        )
    return _table("Pods", ["name", "index", "status", "exit", "restarts", "age", "log"], rows)


def _events(events: list[Json], now: datetime) -> Iterator[str]:
    rows = [
        [
            e["type"],
            e["reason"],
            _age_since(e["at"], now)
            + (f" (x{e['count']} over {_age_since(e['first'], now)})" if e["count"] > 1 else ""),
            _one_line(e["message"]),
        ]
        for e in events
    ]
    return _table("Events", ["type", "reason", "age", "message"], rows)
