"""Looking at the pods, the store and the Prometheus of a deck that runs, for `tapedeck status`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.json import Json
from tapedeck_crds.text import quoted
from tapedeck_deck.cli import thresholds
from tapedeck_deck.cli.health import Finding, of_alerts, of_recorder
from tapedeck_deck.cli.health_runs import RunningPod, has_open_gaps, is_playing, of_feeds, of_replays
from tapedeck_deck.cli.scrapes import Scrape, ScrapeChange, scrape_all
from tapedeck_operator.plan.names import PART_LABEL, UID_LABEL

LOOK_SECONDS = 1.0  # between the two looks that lateness needs
ALERTS_SECONDS = 2.0
_GAPS = """
SELECT DISTINCT exchange FROM gaps
WHERE state = 'open' AND end_ts < now() - make_interval(secs => %(seconds)s)
"""


@dataclass(frozen=True)
class PodsLook:
    """The running pods of a deck and their metrics, at two looks where a Replay plays."""

    recorders: dict[str, str]
    before: dict[str, Scrape]
    after: dict[str, Scrape]
    pods: list[Json]
    documents: list[Json]

    @property
    def recorder_address(self) -> str:
        """Where the recorder answers, or should; empty without one."""
        return next(iter(self.recorders.values()), "")

    def recorder_state(self) -> str:
        """``ok``, or what is wrong with the recorder."""
        if not self.recorders:
            return "does not run"
        silent = [url for uid, url in self.recorders.items() if uid not in self.after]
        return f"unreachable (no answer at {', '.join(silent)})" if silent else "ok"

    def findings(self, dsn: str) -> list[Finding]:
        """What is unhealthy by the metrics."""
        now = time.time()
        feeds, replays = self._running("Feed", now), self._running("Replay", now)
        gaps_open = _exchanges_with_gaps(dsn) if has_open_gaps(feeds) else frozenset()
        return [
            *of_recorder(scrape for uid, scrape in self.after.items() if uid in self.recorders),
            *of_feeds(feeds, now, gaps_open),
            *of_replays(replays),
        ]

    def _running(self, kind: str, now: float) -> list[RunningPod]:
        owners = {each["metadata"]["uid"]: each for each in self.documents if each["kind"] == kind}
        found = []
        for pod in self.pods:
            uid, labels = pod["metadata"]["uid"], _labels(pod)
            owner = owners.get(labels.get(UID_LABEL, ""))
            if owner is not None and uid in self.after and PART_LABEL not in labels:
                change = ScrapeChange(self.before.get(uid), self.after[uid])
                found.append(RunningPod(owner, now - _created(pod), change))
        return found


def look_at_pods(documents: list[Json]) -> PodsLook:
    """Ask the running pods of the recorder, Feeds and Replays for their metrics, and those that play twice."""
    owners = {each["metadata"]["uid"] for each in documents if each["kind"] in ("Feed", "Replay")}
    pods = [each for each in documents if each["kind"] == "Pod" and _answers(each)]
    pods = [each for each in pods if _is_recorder(each) or _labels(each).get(UID_LABEL) in owners]
    urls = {pod["metadata"]["uid"]: str(pod["status"]["url"]) for pod in pods}
    recorders = {uid: urls[uid] for uid in (each["metadata"]["uid"] for each in pods if _is_recorder(each))}
    first = scrape_all(urls)
    playing = {uid: urls[uid] for uid, scrape in first.items() if is_playing(scrape)}
    if not playing:
        return PodsLook(recorders, {}, first, pods, documents)
    time.sleep(LOOK_SECONDS)
    return PodsLook(recorders, first, first | scrape_all(playing), pods, documents)


def firing_alerts(prometheus: str) -> list[Finding]:
    """The alerts that fire, as the deck's Prometheus says; none where it does not answer, which its part tells."""
    import httpx

    try:
        with httpx.Client(timeout=ALERTS_SECONDS, trust_env=False) as client:
            answer = client.get(f"{prometheus.rstrip('/')}/api/v1/alerts").raise_for_status()
        return of_alerts(answer.json()["data"]["alerts"])
    except httpx.HTTPError:
        return []
    except (ValueError, KeyError, TypeError):
        problem = "its answer at /api/v1/alerts is no list of alerts"
        return [Finding("prometheus", problem, f"look at {quoted(prometheus)}: does another program answer there?")]


def host_and_port(address: str) -> tuple[str, int]:
    """The host and the port of an address over HTTP."""
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or 80


def _answers(pod: Json) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") == "Running" and "url" in status


def _is_recorder(pod: Json) -> bool:
    return _labels(pod).get("app.kubernetes.io/name") == "recorder"


def _labels(pod: Json) -> Mapping[str, str]:
    return pod["metadata"].get("labels") or {}


def _created(pod: Mapping[str, Json]) -> float:
    text = pod["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(text).astimezone(UTC).timestamp() if text else time.time()


def _exchanges_with_gaps(dsn: str) -> frozenset[str]:
    """The exchanges with gaps that are open for long; none where the store does not answer, which its part tells."""
    from tapedeck_deck.cli.store_query import rows_of

    try:
        return frozenset(row[0] for row in rows_of(dsn, _GAPS, {"seconds": thresholds.GAPS_OPEN_SECONDS}))
    except TapedeckError:  # also a store of another version
        return frozenset()
