"""A wall clock that is set forward and back while a part runs: nothing is lost or doubled, and no hand is needed."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from pods.machine import Machine
from pods.recorder import caught_up, recorders
from pods.replay import (
    ReplayProcess,
    check_whole,
    committed,
    ended_afterwards,
    insert_minutes,
    played_to_the_end,
)
from pods.set_clock import SettableClock
from pods.topic import read_topic
from pods.transform import TransformProcess
from tapedeck_common import topics
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from waits import eventually

ROUNDS = int(os.environ.get("TAPEDECK_FAULTS", "2"))
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]
DAY = 86_400.0
pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(120 + 60 * ROUNDS)]


@pytest.fixture
def clock(tmp_path: Path) -> SettableClock:
    following = SettableClock(tmp_path / "clock")
    following.set(0)
    return following


def test_a_replay_publishes_each_bar_once(machine: Machine, tmp_path: Path, clock: SettableClock) -> None:
    """A clock set forward lets it catch up at once, one set back lets it wait; a killed pod's successor, too."""
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    insert_minutes(machine.dsn, "clock", SYMBOLS, 3_000)
    spec: Json = {"source": {"store": {"exchange": "clock", "symbols": SYMBOLS}}}
    rng = random.Random(ROUNDS)
    for number in range(ROUNDS):
        clock.set(0)
        replay = ReplayProcess(tmp_path, connections, spec, launch=clock.start)
        replay.begin(speed=30_000.0, hold=True)  # six seconds
        with ended_afterwards(replay):
            replay.until(lambda r: r["published"] > 100)
            clock.set(rng.uniform(-3, -1))
            replay.until(lambda r: r["published"] > 600)
            if number % 2:
                replay.kill()
                replay.start()
            clock.set(rng.choice([2, 60, DAY, 400 * DAY]))
            replay.until(lambda r: r["state"] == "holding")  # at its end: the clock let it catch up
            code = played_to_the_end(replay)
        assert code == 0
        check_whole(committed(machine.broker.bootstrap, replay.topic), machine.dsn, "clock")


def test_each_record_is_stored_and_transformed_once(machine: Machine, tmp_path: Path, clock: SettableClock) -> None:
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    spec = {
        "exchange": "x",
        "symbols": ["S*"],
        "channels": ["trades"],
        "transforms": [{"name": "prices", "channel": "trades", "filter": {"above": 0}}],
    }
    rng = random.Random(ROUNDS)
    transforms = TransformProcess(tmp_path, connections, "Feed", spec, "clock", launch=clock.start)
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,):
        recorder.launch = clock.start
        recorder.start()
        transforms.start()
        try:
            for _ in range(ROUNDS):
                for seconds in (rng.uniform(10, DAY), -rng.uniform(10, DAY), 400 * DAY, 0):
                    machine.publish(100)
                    clock.set(seconds)
                    eventually(partial(_caught_up_at, transforms, seconds))
                machine.check()
                caught_up(machine.broker.bootstrap, machine.dsn)
                eventually(partial(_transformed, machine))
            assert recorder.running()
            assert transforms.running()
        finally:
            transforms.kill()


def _caught_up_at(transforms: TransformProcess, seconds: float) -> bool:
    """Whether the pod says that it has processed the log up to now, by its own clock."""
    reported = (transforms.status().get("transforms") or {}).get("caught_up") or 0
    return bool(abs(reported / 1000 - time.time() - seconds) < 9)


def _transformed(machine: Machine) -> bool:
    """Whether each trade has one point; repeats are equal."""
    found = [point["ts"] for _, point, _ in read_topic(machine.broker.bootstrap, topics.MARKET_POINTS, "x")]
    return len(set(found)) == machine.published == len(found)
