"""A control that reaches one pod late: the planner and real pods bring all shards and followers to one virtual time."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pods.replay import MINUTE, T0, ReplayProcess, bars, committed, insert_minutes, stored, wait_for
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Replay
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan import Observed, ObservedPod, Plan, Settings, plan

SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR"]
MINUTES = 8_000
OVERRUN = 100  # minutes that the late pod plays on after the time of its control
SETTINGS = Settings(images={"replay": "i/replay:1"}, operator_key=b"secret", results_key=b"results")
SOURCE: Json = {"store": {"exchange": "x", "symbols": SYMBOLS}}


@dataclass
class PlannedReplay:
    """A Replay whose pods run and whose controls a test plans, and delivers when it wants to."""

    name: str
    spec: Json
    pods: list[ReplayProcess]
    status: Json = field(default_factory=dict)
    generation: int = 1

    @property
    def resource(self) -> Replay:
        metadata = {"name": self.name, "uid": self.pods[0].uid, "generation": self.generation}
        document = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Replay", "metadata": metadata, "spec": self.spec}
        found = parse_resource(document | {"status": self.status})
        assert isinstance(found, Replay)
        return found

    def change(self, **spec: Any) -> None:
        self.spec |= spec
        self.generation += 1

    def plan(self, **others: Any) -> Plan:
        """What the operator plans by the reports of now; the status is kept."""
        made = next(c for c in plan(self.resource, Observed(**others), 0, SETTINGS).apply if c["kind"] == "Job")
        pods = tuple(
            ObservedPod(pod.url, pod.shard, "Running", pod.url, ReplayReport.model_validate(pod.status()))
            for pod in self.pods
        )
        planned = plan(self.resource, Observed(job=made, pods=pods, **others), time.time_ns() // 1_000_000, SETTINGS)
        self.status = planned.status
        return planned


@dataclass
class SharedClock:
    """A leader and a follower, with what an operator does for them; requests to the pods in ``held`` stay with it."""

    leader: PlannedReplay
    follower: PlannedReplay
    held: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    @property
    def pods(self) -> list[ReplayProcess]:
        return self.leader.pods + self.follower.pods

    def deliver(self) -> None:
        """Plan both, and bring the controls to the pods."""
        planned = self.leader.plan(followers=(self.follower.resource,))
        followed = self.follower.plan(replay=self.leader.resource)
        self.warnings += [event.reason for event in planned.events if event.type == "Warning"]
        by_url = {pod.url: pod for pod in self.pods}
        for request in planned.control_requests + followed.control_requests:
            if request.pod not in self.held:
                assert by_url[request.pod].control(**json.loads(request.body)).status_code == 202

    def reconcile(self) -> bool:
        """Plan and deliver; whether every pod follows the leader's anchor, in effect, and none is ahead."""
        self.deliver()
        anchor = self.leader.status.get("anchor")
        if anchor is None or time.time() * 1000 < anchor["w0"]:
            return False
        reports = [pod.status() for pod in self.pods]
        return not any(r.get("ahead") or (r["anchor"] or {}).get("number") != anchor["number"] for r in reports)

    def settle(self) -> None:
        wait_for(self.reconcile, "one clock")

    def change_late_for(self, pod: ReplayProcess, **spec: Any) -> None:
        """Change the leader's controls; they reach one pod once it has published OVERRUN minutes past them."""
        self.held = {pod.url}
        self.leader.change(**spec)
        self.reconcile()
        series = pod.status()["rows"] // MINUTES
        minutes = (self.leader.status["anchor"]["v0"] - T0) // MINUTE
        pod.until(lambda report: report["passed"] >= (minutes + OVERRUN) * series)
        self.held = set()
        self.settle()


@pytest.fixture
def shared_clock(tmp_path: Path, connections: Connections, store: str) -> Iterator[SharedClock]:
    insert_minutes(store, "x", SYMBOLS, MINUTES)
    lead: Json = {"source": SOURCE, "shards": 2, "speed": 24_000}
    first = ReplayProcess(tmp_path, connections, lead, shard=0)
    second = ReplayProcess(tmp_path, connections, lead, uid=first.uid, shard=1)
    follow: Json = {"source": SOURCE, "clock": {"follow": "lead"}}
    third = ReplayProcess(tmp_path, connections, follow)
    for pod in (first, second, third):
        pod.start()
    for pod in (first, second, third):
        pod.until(lambda report: report["state"] == "waiting")
    yield SharedClock(PlannedReplay("lead", lead, [first, second]), PlannedReplay("follow", follow, [third]))
    for pod in (first, second, third):
        if pod.process is not None and pod.process.poll() is None:
            pod.process.kill()


@pytest.mark.parametrize("late", [1, 2], ids=["a shard", "a follower"])
def test_all_continue_from_the_furthest_and_every_bar_is_published_once(
    shared_clock: SharedClock, connections: Connections, store: str, late: int
) -> None:
    clock, pods = shared_clock, shared_clock.pods
    clock.settle()
    pods[late].until(lambda report: report["position"] > T0 + 200 * MINUTE)

    clock.change_late_for(pods[late], paused=True)
    anchor = clock.leader.status["anchor"]
    positions = [pod.until(lambda report: report["state"] == "paused")["position"] for pod in pods]
    assert positions == [anchor["v0"]] * 3
    assert anchor["movedMs"] >= (OVERRUN - 1) * MINUTE
    assert "a control reached a pod after its time" in clock.leader.status["message"]

    clock.leader.change(paused=False)
    clock.settle()
    clock.change_late_for(pods[late], speed=60)
    clock.leader.change(paused=True)
    clock.settle()
    assert len({pod.until(lambda report: report["state"] == "paused")["position"] for pod in pods}) == 1
    assert set(clock.warnings) == {"LateControl"}
    assert len(clock.warnings) >= 2  # on a busy machine more controls are late than the two that were held

    clock.leader.change(paused=False, unpaced=True)
    clock.deliver()  # and ask no pod afterwards: it may have ended
    assert [pod.wait() for pod in pods] == [0, 0, 0]
    every = stored(store, "x")
    parts = [bars(committed(connections.kafka_bootstrap, pods[0].topic, shard)) for shard in (0, 1)]
    assert parts == [[bar for bar in every if zlib.crc32(f"x:{bar[1]}".encode()) % 2 == shard] for shard in (0, 1)]
    assert bars(committed(connections.kafka_bootstrap, pods[2].topic)) == every
