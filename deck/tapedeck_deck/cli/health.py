"""What is unhealthy in a deck, and what to do about it, for `tapedeck status`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tapedeck_crds.json import Json
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_deck.cli import thresholds
from tapedeck_deck.cli.scrapes import Scrape
from tapedeck_operator.plan.reasons import REASONS

FREE_BYTES_MIN = 1024**3
_ACTIONS = {str(reason): reason.action for reason in REASONS}
LOG_OF = {"page": "gateway", "broker": "deck", "database": "deck", "recorder": "recorder", "prometheus": "deck"}
# Conditions that report a problem, whatever the phase is, and reasons of a run that works without one of its parts.
_TROUBLES = frozenset({("Degraded", "True"), ("PodsFailing", "True"), ("Applied", "False")})
_PARTS_FAILED = frozenset({"TransformsFailed", "BackfillFailed"})
# Reasons of a Pending resource that waits as it should.
_WAITING = frozenset({"Starting", "WaitingForFeed", "WaitingForReplay", "WaitingForLeader", "Filling", "Connecting"})
# Reasons of a Feed that has no connection yet: for long, that is no waiting.
_CONNECTING = frozenset({"Starting", "Connecting", "Unreachable"})


@dataclass(frozen=True)
class Finding:
    """Something unhealthy: ``what`` it is, the ``problem``, and what to ``do``."""

    what: str
    problem: str
    do: str


def of_parts(parts: Mapping[str, str]) -> list[Finding]:
    """Parts of the deck that do not answer."""
    return [
        Finding(part, state, f"read `tapedeck logs {LOG_OF[part]}`; `tapedeck down` and `tapedeck up` start it again")
        for part, state in parts.items()
        if state != "ok"
    ]


def of_problems(problems: Mapping[str, str]) -> list[Finding]:
    """What keeps parts of the deck from their work."""
    return [
        Finding(part, message, "the deck tries again by itself; `tapedeck logs deck` has the details")
        for part, message in problems.items()
    ]


def of_resources(documents: Iterable[Json], now: datetime | None = None) -> list[Finding]:
    """Resources that failed, work with a part of their input, cannot start, or connect for too long."""
    now = now or datetime.now(UTC)
    found = []
    for document in documents:
        metadata, status = document["metadata"], document.get("status") or {}
        conditions = status.get("conditions") or [{}]
        reason, phase = str(conditions[0].get("reason", "")), status.get("phase", "Pending")
        troubles = [each for each in conditions if (each.get("type"), each.get("status")) in _TROUBLES]
        stuck = phase == "Pending" and reason not in ("", *_WAITING)
        ended_badly = phase in ("Failed", "Degraded")
        waits_long = _is_disconnected(document, conditions[0], now)
        if not (
            ended_badly or stuck or waits_long or reason in _PARTS_FAILED or (troubles and phase not in FINAL_PHASES)
        ):
            continue
        name = f"{document['kind'].lower()}/{metadata['name']}"
        where = "" if metadata.get("namespace", "default") == "default" else f" -n {metadata['namespace']}"
        problem = f"{phase}, {reason}: {status.get('message') or 'no message'}"
        if waits_long:
            problem += f" (not ready for over {thresholds.FEED_DISCONNECTED_SECONDS / 60:.0f} min)"
        causes = (reason, *(str(each.get("reason", "")) for each in troubles))
        do = (
            next((action for each in causes if (action := _ACTIONS.get(each))), "")
            or f"read `tapedeck describe {name}{where}` and `tapedeck logs {name}{where}`"
        )
        found.append(Finding(name, problem, do))
    return found


def _is_disconnected(document: Json, ready: Json, now: datetime) -> bool:
    """Whether a Feed has been without a connection for longer than it takes to get one."""
    since = ready.get("lastTransitionTime")
    if document["kind"] != "Feed" or ready.get("status") != "False" or ready.get("reason") not in _CONNECTING:
        return False
    return since is not None and (
        (now - datetime.fromisoformat(since)).total_seconds() > thresholds.FEED_DISCONNECTED_SECONDS
    )


def of_alerts(alerts: Iterable[Json]) -> list[Finding]:
    """Alerts that fire, as Prometheus lists them, each with the address of its runbook."""
    found = []
    for alert in alerts:
        if alert.get("state") != "firing":
            continue
        name, about = alert["labels"]["alertname"], alert.get("annotations") or {}
        runbook = about.get("runbook_url")
        do = f"follow {runbook}" if runbook else "look at the alert on the page of Prometheus"
        found.append(Finding(f"alert {name}", about.get("summary") or "it fires", do))
    return found


def of_recorder(scrapes: Iterable[Scrape]) -> list[Finding]:
    """A recorder that is behind, and sinks that do not accept points."""
    found = []
    for scrape in scrapes:
        for topic, seconds in sorted(scrape.by("tapedeck_recorder_lag_seconds", "topic").items()):
            records = scrape.by("tapedeck_recorder_lag_records", "topic").get(topic, 0.0)
            if seconds > thresholds.RECORDER_LAG_SECONDS or records > thresholds.RECORDER_LAG_RECORDS:
                problem = f"{topic}: {records:.0f} records are not in the store, the oldest of {seconds:.0f} s ago"
                do = "`tapedeck top` shows whether the machine is busy, `tapedeck logs recorder` what it waits for"
                found.append(Finding("recorder", problem, do))
        for sink, up in sorted(scrape.by("tapedeck_sink_up", "sink").items()):
            if not up:
                do = "check its address in sinks.yaml of the deck's folder; `tapedeck logs recorder` has the reason"
                found.append(Finding(f"sink {sink}", "it does not accept points; they wait on the topics", do))
    return found


def of_disk(free_bytes: int, root: str) -> list[Finding]:
    """A disk that is nearly full."""
    if free_bytes >= FREE_BYTES_MIN:
        return []
    problem = f"{free_bytes // 2**20} MiB are free where {root} is"
    return [Finding("disk", problem, "free some space; `tapedeck top --once` shows what the deck takes")]
