"""What `tapedeck top` shows, as plain values: of one moment, from two looks at the metrics."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_deck.cli.scrapes import Scrape, ScrapeChange, scrape_all
from tapedeck_deck.cli.top.disk import DiskUse, disk_use
from tapedeck_deck.cli.top.processes import ProcessMeter, ProcessUse
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.problems import read_problems
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_operator.plan.names import PART_LABEL, UID_LABEL

DISK_SECONDS = 30.0  # between two looks at the size of folders
NAME_LABEL = "app.kubernetes.io/name"
# The counter that tells how fast a resource works, by kind.
_WORK = {
    "Feed": "tapedeck_feed_records_total",
    "Replay": "tapedeck_replay_records_total",
    "Backtest": "tapedeck_backtest_bars_total",
}
_LATENESS = "tapedeck_replay_lateness_seconds"
_FANOUT = "tapedeck_gateway_fanout_seconds"


@dataclass(frozen=True)
class ResourceRow:
    """A resource. ``per_second`` counts a Feed's records, a Replay's bars or trades, the bars of a Backtest.

    A Replay has a measured and a wanted speed, infinite when it is unpaced, and ``late_seconds``: the 99th percentile.
    """

    kind: str
    namespace: str
    name: str
    phase: str
    progress: str = ""
    per_second: float | None = None
    speed: float | None = None
    wanted_speed: float | None = None
    late_seconds: float | None = None
    position: str = ""
    message: str = ""


@dataclass(frozen=True)
class RecorderRow:
    """The recorder: rows a second, and by topic how far it is behind the log."""

    rows_per_second: float | None = None
    lag_records: dict[str, float] = field(default_factory=dict)
    lag_seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class GatewayRow:
    """The gateway. ``fanout_seconds`` is the 99th percentile from a change on a topic to its push."""

    sockets: float | None = None
    requests_per_second: float | None = None
    messages_per_second: float | None = None
    fanout_seconds: float | None = None


@dataclass(frozen=True)
class DeckState:
    """The deck at one moment; ``at`` is Unix time in seconds."""

    at: float
    resources: list[ResourceRow]
    recorder: RecorderRow
    gateway: GatewayRow
    processes: list[ProcessUse]
    disk: DiskUse
    problems: dict[str, str]

    def as_json(self) -> Json:
        """As JSON, in which there is no infinity: such a speed is the text ``max``."""
        return {name: _finite(value) for name, value in asdict(self).items()}


class DeckMeter:
    """Looks at a running deck again and again."""

    def __init__(self, home: StateDir, objects: Objects) -> None:
        self._home = home
        self._objects = objects
        self._processes = ProcessMeter(0)
        self._scrapes: dict[str, Scrape] = {}
        self._disk: DiskUse | None = None
        self._disk_at = -math.inf

    def look(self) -> DeckState:
        """The state now; rates are since the last look. Raises DeckError."""
        documents = {kind: self._objects.list(kind) for kind in KINDS}
        pods = [pod for pod in self._objects.list_unfinished("Pod") if pod.get("status", {}).get("phase") == "Running"]
        urls = {pod["metadata"]["uid"]: pod["status"]["url"] for pod in pods if "url" in pod["status"]}
        scrapes = scrape_all(urls)
        changes = {uid: ScrapeChange(self._scrapes.get(uid), scrape) for uid, scrape in scrapes.items()}
        self._scrapes = scrapes
        names = {pod["status"]["pid"]: pod["metadata"]["name"] for pod in pods if "pid" in pod["status"]}
        return DeckState(
            time.time(),
            [resource_row(each, _own(pods, each, changes)) for of_kind in documents.values() for each in of_kind],
            recorder_row(_of_workload(pods, "recorder", changes)),
            gateway_row(_of_workload(pods, "gateway", changes)),
            self.look_at_processes(names),
            self._look_at_disk(),
            read_problems(self._home.problems_file),
        )

    def look_at_processes(self, names: Mapping[int, str]) -> list[ProcessUse]:
        """Those of the deck that runs now: after a restart, it has another pid."""
        facts = self._home.running()
        if facts is None:
            return []
        if (pid := int(facts["pid"])) != self._processes.daemon:
            self._processes = ProcessMeter(pid)
        return self._processes.look(names)

    def _look_at_disk(self) -> DiskUse:
        if self._disk is None or time.monotonic() - self._disk_at >= DISK_SECONDS:
            self._disk, self._disk_at = disk_use(self._home.root), time.monotonic()
        return self._disk


def resource_row(document: Json, changes: Iterable[ScrapeChange]) -> ResourceRow:
    """A resource with the metrics of its own pods."""
    kind, metadata, status = document["kind"], document["metadata"], document.get("status") or {}
    changes = list(changes)
    return ResourceRow(
        kind,
        metadata["namespace"],
        metadata["name"],
        status.get("phase") or "Pending",
        status.get("progress") or "",
        _sum(change.rate(_WORK[kind]) for change in changes),
        _least(change.after.value("tapedeck_replay_measured_speed_ratio") for change in changes),
        _least(change.after.value("tapedeck_replay_wanted_speed_ratio") for change in changes),
        _greatest(change.quantile(_LATENESS, 0.99) for change in changes),
        status.get("position") or "",
        status.get("message") or "",
    )


def recorder_row(changes: Iterable[ScrapeChange]) -> RecorderRow:
    """The recorders together; the oldest record counts."""
    changes = list(changes)
    records: dict[str, float] = defaultdict(float)
    seconds: dict[str, float] = defaultdict(float)
    for change in changes:
        for topic, number in change.after.by("tapedeck_recorder_lag_records", "topic").items():
            records[topic] += number
        for topic, number in change.after.by("tapedeck_recorder_lag_seconds", "topic").items():
            seconds[topic] = max(seconds[topic], number)
    return RecorderRow(
        _sum(change.rate("tapedeck_recorder_rows_total") for change in changes), dict(records), dict(seconds)
    )


def gateway_row(changes: Iterable[ScrapeChange]) -> GatewayRow:
    """The gateways together."""
    changes = list(changes)
    return GatewayRow(
        _sum(change.after.value("tapedeck_gateway_sockets") for change in changes),
        _sum(change.rate("tapedeck_gateway_requests_total") for change in changes),
        _sum(change.rate("tapedeck_gateway_socket_messages_total") for change in changes),
        _greatest(change.quantile(_FANOUT, 0.99) for change in changes),
    )


def _own(pods: Iterable[Json], document: Json, changes: Mapping[str, ScrapeChange]) -> Iterable[ScrapeChange]:
    """The changes of a resource's own pods, without those of its transforms."""
    uid = document["metadata"]["uid"]
    labels = {pod["metadata"]["uid"]: pod["metadata"].get("labels", {}) for pod in pods}
    return [
        change
        for pod_uid, change in changes.items()
        if labels[pod_uid].get(UID_LABEL) == uid and PART_LABEL not in labels[pod_uid]
    ]


def _of_workload(pods: Iterable[Json], workload: str, changes: Mapping[str, ScrapeChange]) -> Iterable[ScrapeChange]:
    own = (pod["metadata"]["uid"] for pod in pods if pod["metadata"].get("labels", {}).get(NAME_LABEL) == workload)
    return [changes[uid] for uid in own if uid in changes]


def _sum(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _least(numbers: Iterable[float | None]) -> float | None:
    return min((number for number in numbers if number is not None), default=None)


def _greatest(numbers: Iterable[float | None]) -> float | None:
    return max((number for number in numbers if number is not None), default=None)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return "max" if isinstance(value, float) and math.isinf(value) else value
