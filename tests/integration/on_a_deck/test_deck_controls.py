"""A Replay's controls on a running deck, from its spec to the records on the topic and the rows in the store."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from decks.process import Deck, apply, broker_of, eventually, phase, pods_of, reaches
from pods.recorder import publish, unrecorded
from pods.replay import MINUTE, T0, Record, bars, committed, insert_minutes, stored
from tapedeck_common import topics
from tapedeck_common.market import Bar
from tapedeck_common.wire import encode, market_headers
from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource
from tapedeck_deck.cli import changes
from tapedeck_deck.embedded.deadline import Deadline
from tapedeck_deck.embedded.objects import Objects

SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR"]
MINUTES = 120
END = T0 + MINUTES * MINUTE
FAST = 6_000  # the tape in 1.2 s

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Stage:
    """A deck with bars of exchange x in its store."""

    objects: Objects
    broker: dict[str, str]
    owner: str

    def play(self, name: str, symbols: list[str] | None = None, **spec: Any) -> None:
        source = {"store": {"exchange": "x", "symbols": symbols or SYMBOLS}}
        apply(self.objects, "Replay", name, {"source": source, **spec})

    def turn(self, name: str, **controls: Any) -> None:
        self.objects.patch_spec("Replay", "default", name, changes.control_patch(**controls))

    def status(self, name: str) -> Json:
        status: Json = self.objects.get("Replay", "default", name).get("status", {})
        return status

    def plays(self, name: str) -> bool:
        return (self.status(name).get("published") or 0) > 0

    def at(self, name: str, minute: int, epoch: str, published: int) -> Json:
        """Wait until the Replay has stopped at a minute of its range and has observed its spec; returns the status."""
        generation = self.objects.get("Replay", "default", name)["metadata"]["generation"]

        def seen() -> tuple[Any, ...]:
            status = self.status(name)
            at = ms(status.get("position")), status.get("epoch")
            return *at, status.get("published"), status.get("observedGeneration")

        deadline, expected = Deadline(40), (T0 + minute * MINUTE, epoch, published, generation)
        while seen() != expected:
            assert not deadline.passed(), (expected, self.status(name))
            time.sleep(0.05)
        return self.status(name)

    def complete(self, *names: str) -> None:
        for name in names:
            reaches(self.objects, "Replay", name, "Complete", "Failed")
            assert phase(self.objects, "Replay", name) == "Complete", self.status(name)

    def topic(self, name: str, partition: int = 0) -> list[Record]:
        return committed(self.broker, self.status(name)["topic"], partition)


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def ms(text: str | None) -> int | None:
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(scope="module")
def stage(shared_deck: Deck) -> Stage:
    home, facts, objects = shared_deck
    owner = (home.migrate / "store_dsn").read_text().strip()
    insert_minutes(owner, "x", SYMBOLS, MINUTES)
    return Stage(objects, broker_of(facts), owner)


def test_shards_loop_until_and_step(stage: Stage) -> None:
    stage.play("tape", shards=2, loop=2, until=iso(T0 + 60 * MINUTE), speed=FAST)
    assert stage.at("tape", 60, "0.0", 4 * 60)["progress"] == f"{4 * 60}/{4 * MINUTES}"
    stage.turn("tape", step=5)
    status = stage.at("tape", 65, "0.0", 4 * 65)
    assert (status["phase"], status["speed"]) == ("Paused", "paused")
    assert status["anchor"]["stepId"] == stage.objects.get("Replay", "default", "tape")["spec"]["step"]["id"]
    stage.turn("tape", step=MINUTES)  # over the end of the round, into the next
    stage.at("tape", 65, "0.1", 4 * (MINUTES + 65))
    stage.turn("tape", until="off", paused=False)
    stage.complete("tape")
    status = stage.status("tape")
    assert (status["epoch"], status["published"], status["progress"]) == (
        "0.1",
        8 * MINUTES,
        f"{4 * MINUTES}/{4 * MINUTES}",
    )

    every = stored(stage.owner, "x")
    parts = [stage.topic("tape", number) for number in (0, 1)]
    for records in parts:
        mine = {bar[1] for bar in bars(records)}
        assert mine < set(SYMBOLS)
        for epoch in ("0.0", "0.1"):
            assert bars(records, epoch) == [bar for bar in every if bar[1] in mine]
    assert sum(len(bars(records)) for records in parts) == 2 * len(every)


def test_a_follower_obeys_the_controls_of_its_leader(stage: Stage) -> None:
    stage.play("follower", SYMBOLS[2:], clock={"follow": "leader"})
    eventually(lambda: "leader" in stage.status("follower").get("message", ""))
    stage.play("leader", SYMBOLS[:2], speed=FAST, until=iso(T0 + 30 * MINUTE))
    for name in ("leader", "follower"):
        stage.at(name, 30, "0.0", 2 * 30)
    assert stage.status("leader")["anchor"] == stage.status("follower")["anchor"]
    with pytest.raises(InvalidResource, match=r"clock\.follow"):
        stage.turn("follower", paused=True)
    stage.turn("leader", seek=iso(T0 + 90 * MINUTE))
    for name in ("leader", "follower"):
        stage.at(name, 90, "1.0", 2 * 30)
    stage.turn("leader", step=10)
    for name in ("leader", "follower"):
        assert stage.at(name, 100, "1.0", 2 * 40)["phase"] == "Paused"
    stage.turn("leader", until="off", paused=False)
    stage.complete("leader", "follower")
    for name, symbols in (("leader", SYMBOLS[:2]), ("follower", SYMBOLS[2:])):
        every = [bar for bar in stored(stage.owner, "x") if bar[1] in symbols]
        records = stage.topic(name)
        assert bars(records, "0.0") == [bar for bar in every if bar[0] < T0 + 30 * MINUTE]
        assert bars(records, "1.0") == [bar for bar in every if bar[0] >= T0 + 90 * MINUTE]


@pytest.mark.parametrize(
    ("stopped", "more"),
    [(2.0, {}), (9.0, {"target": {"topic": "market.bars", "shared": True}})],
    ids=["within a transaction's time", "for longer"],
)
def test_after_a_stall_burst_catches_up_and_skip_does_not(stage: Stage, stopped: float, more: Json) -> None:
    """On a shared topic the broker aborts an open transaction after five seconds, and a new pod resumes."""
    names = {how: f"{how}-{stopped:.0f}" for how in ("burst", "skip")}
    for how, name in names.items():
        stage.play(name, SYMBOLS[:1], speed=600, paused=True, clock={"catchUp": how}, **more)  # twelve seconds
    reaches(stage.objects, "Replay", names["burst"], "Paused")
    reaches(stage.objects, "Replay", names["skip"], "Paused")
    uids = [stage.objects.get("Replay", "default", name)["metadata"]["uid"] for name in names.values()]
    pids = [pods_of(stage.objects, uid)[0]["status"]["pid"] for uid in uids]
    for name in names.values():
        stage.turn(name, paused=False)
    for name in names.values():
        eventually(partial(stage.plays, name))
    firsts = {how: stage.status(name)["anchor"] for how, name in names.items()}
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(stopped)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    stage.complete(*names.values())
    every = [bar for bar in stored(stage.owner, "x") if bar[1] == SYMBOLS[0]]
    late = {}
    for how, first in firsts.items():
        records = stage.topic(names[how])
        assert bars(records) == every
        last = [record for record in records if record.kind == "bar"][-1]
        late[how] = last.stamp - (first["w0"] + (END - first["v0"]) / first["speed"])
    assert stage.status(names["burst"])["anchor"]["number"] == firsts["burst"]["number"]
    assert stage.status(names["skip"])["anchor"]["number"] > firsts["skip"]["number"]
    assert not stage.status(names["skip"])["stalled"]
    assert late["burst"] >= -1
    assert late["skip"] >= (stopped - 0.2) * 1000


def test_live_bars_beside_a_replay_on_one_topic(stage: Stage, tmp_path: Path) -> None:
    """The recorder stores the live bars, and those of a Replay only with record: true."""
    lines = [f"{T0 + m * MINUTE},{100 + m},{101 + m},{99 + m},{100 + m},1.5" for m in range(MINUTES)]
    (tmp_path / "tape.csv").write_text("ts,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    files = {"exchange": "y", "sets": [{"symbol": "A/USD", "path": "tape.csv"}]}
    both = {"source": {"files": files}, "speed": FAST, "target": {"topic": "market.bars", "shared": True}}
    apply(stage.objects, "Replay", "dropped", both, tmp_path)
    apply(stage.objects, "Replay", "kept", {**both, "record": True}, tmp_path)
    live = [Bar("live", "A/USD", "1m", T0 + m * MINUTE, 1.0, 300.0, 0.5, 1.0 + m, 3.0) for m in range(200)]
    for bar in live:
        publish(stage.broker, [(topics.MARKET_BARS, encode(bar), "live:A/USD", market_headers("live"))])
        time.sleep(0.01)
    stage.complete("dropped", "kept")

    def counted() -> dict[str, int]:
        with psycopg.connect(stage.owner) as connection:
            rows = connection.execute(
                "SELECT exchange || ' ' || source, count(*) FROM bars WHERE exchange <> 'x' GROUP BY 1"
            ).fetchall()
        return dict(rows)

    eventually(lambda: not unrecorded(stage.broker, stage.owner))
    assert counted() == {"live live": 200, "replay.kept replay": MINUTES}
    assert [bar[5] for bar in stored(stage.owner, "live")] == [bar.close for bar in live]
    expected = bars(stage.topic("kept"))
    assert stored(stage.owner, "replay.kept") == expected == bars(stage.topic("dropped"))
    assert len(expected) == MINUTES


def test_a_replay_that_holds_at_its_end_blocks_no_live_bar(stage: Stage) -> None:
    """It waits for a seek, also on the live topic, until atEnd is finish."""
    target = {"topic": "market.bars", "shared": True}
    stage.play("held", SYMBOLS[:1], unpaced=True, atEnd="hold", target=target)

    def live_until(minute: int, since: int = 0) -> None:
        """Publish live bars and wait until the store has them, while the Replay holds."""
        for m in range(since, minute):
            bar = Bar("beside", "A/USD", "1m", T0 + m * MINUTE, 1.0, 300.0, 0.5, 1.0 + m, 3.0)
            publish(stage.broker, [(topics.MARKET_BARS, encode(bar), "beside:A/USD", market_headers("live"))])
        eventually(
            lambda: [bar[0] for bar in stored(stage.owner, "beside")] == [T0 + m * MINUTE for m in range(minute)]
        )

    assert stage.at("held", MINUTES, "0.0", MINUTES)["phase"] == "Running"
    eventually(lambda: stage.status("held")["conditions"][0]["reason"] == "Holding")
    live_until(20)
    stage.turn("held", seek=iso(END + 5 * MINUTE))
    message = stage.at("held", MINUTES, "1.0", MINUTES)["message"]
    assert message.endswith("which is outside the range; went to 2018-04-04T02:00:00Z")
    stage.turn("held", seek=iso(T0 - MINUTE))
    message = stage.at("held", MINUTES, "2.0", 2 * MINUTES)["message"]
    assert message.endswith("which is outside the range; went to 2018-04-04T00:00:00Z")
    stage.turn("held", seek=iso(T0 + 90 * MINUTE))
    assert "message" not in stage.at("held", MINUTES, "3.0", 2 * MINUTES + 30)
    live_until(40, since=20)
    stage.objects.patch_spec("Replay", "default", "held", {"spec": {"atEnd": "finish"}})
    stage.complete("held")
    every = [bar for bar in stored(stage.owner, "x") if bar[1] == SYMBOLS[0]]
    records = stage.topic("held")
    assert [bars(records, f"{n}.0") for n in range(4)] == [every, [], every, every[90:]]
