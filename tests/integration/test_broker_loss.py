"""A broker that loses the last records of its topics, as after a power failure: nothing is skipped silently."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from pods.machine import Machine, lose_tail, running_machine
from pods.recorder import T0, caught_up, ends, recorders, select
from pods.replay import (
    PodEnded,
    ReplayProcess,
    check_whole,
    committed,
    ended_afterwards,
    insert_minutes,
    stored,
)
from pods.sink import line_protocol_server
from pods.topic import read_topic
from pods.transform import TransformProcess
from tapedeck_common import topics
from tapedeck_common.settings import Connections
from waits import eventually

ROUNDS = max(2, int(os.environ.get("TAPEDECK_FAULTS", "2")) // 2 * 2)
LOST = "SELECT count(*) FROM ingest_errors WHERE strpos(reason, 'the broker lost') > 0"
OVER = 20
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]
pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with running_machine(tmp_path_factory.mktemp("machine")) as running:
        yield running


@pytest.mark.timeout(60 + 60 * ROUNDS)
def test_records_in_the_place_of_lost_ones_are_recorded_and_delivered(machine: Machine) -> None:
    """Store and sink have offsets at which the log, once it has grown again, holds other records.

    In one half of the rounds the recorder runs on; in the other it is down meanwhile, and has only what it stored.
    """
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with (
        line_protocol_server() as (url, lines),
        recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,),
    ):
        recorder.options = {"sinks": [{"name": f"s-{uuid.uuid4().hex[:8]}", "url": url, "records": ["bars"]}]}
        recorder.start()
        for number in range(ROUNDS):
            machine.publish(200)
            caught_up(machine.broker.bootstrap, machine.dsn)
            eventually(partial(_delivered, lines, machine.published), progress=partial(len, lines))
            before = ends(machine.broker.bootstrap)
            (reported,) = select(machine.dsn, LOST)
            if number % 2:
                assert recorder.stop() == 0
            machine.broker.kill()
            for topic in (topics.MARKET_BARS, topics.MARKET_TRADES):
                assert lose_tail(machine.broker, topic, 100) > 0
            machine.broker.start()
            machine.publish(300)
            grown = ends(machine.broker.bootstrap)
            assert sum(grown.get(place, 0) > end for place, end in before.items()) > 5
            if number % 2:
                recorder.start()
            eventually(partial(_more_reported, machine.dsn, reported))
            machine.check()
            eventually(partial(_delivered, lines, machine.published), progress=partial(len, lines))
            assert recorder.running()


def _delivered(lines: list[bytes], minutes: int) -> bool:
    """Whether the sink has each minute of the twelve series."""
    return len(set(lines)) == 12 * minutes


@pytest.mark.timeout(60 + 60 * ROUNDS)
def test_transforms_of_records_in_the_place_of_lost_ones_are_published(machine: Machine, tmp_path: Path) -> None:
    """The pod runs on in one half of the rounds; in the other it is down meanwhile, and has only its offsets."""
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    prices = {"name": "prices", "channel": "trades", "filter": {"above": 0}}
    spec = {"exchange": "x", "symbols": ["S*"], "channels": ["trades"], "transforms": [prices]}
    transforms = TransformProcess(tmp_path, connections, "Feed", spec, str(uuid.uuid4()))
    transforms.start()
    first = machine.published
    try:
        for number in range(ROUNDS):
            machine.publish(200)
            eventually(partial(_transformed, machine, first))
            if number % 2:
                assert transforms.stop() == 0
            machine.broker.kill()
            assert lose_tail(machine.broker, topics.MARKET_TRADES, 100) > 0
            machine.broker.start()
            machine.publish(300)
            if number % 2:
                transforms.start()
            eventually(partial(_transformed_by_the_next_pod, transforms, machine, first))
    finally:
        transforms.kill()


def _transformed(machine: Machine, first: int) -> bool:
    """Whether each trade since the minute ``first`` has its point."""
    found = {point["ts"] - T0 for _, point, _ in read_topic(machine.broker.bootstrap, topics.MARKET_POINTS, "x")}
    return found.issuperset(range(first, machine.published))


def _transformed_by_the_next_pod(transforms: TransformProcess, machine: Machine, first: int) -> bool:
    """As ``_transformed``; a pod that has ended is started again, as by its operator."""
    if not transforms.running():
        transforms.start()
    return _transformed(machine, first)


def _more_reported(dsn: str, reported: tuple[int]) -> bool:
    return select(dsn, LOST) > [reported]


@pytest.mark.timeout(60 + 60 * ROUNDS)
@pytest.mark.parametrize("killed", [True, False])
def test_a_replay_publishes_again_what_the_broker_lost(machine: Machine, tmp_path: Path, killed: bool) -> None:
    """Of a pod that ends with the broker, and of one that goes on: its commits were acknowledged."""
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    exchange = "killed" if killed else "running"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 3_000)
    for _ in range(ROUNDS // 2):
        replay = ReplayProcess(tmp_path, connections, {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}})
        with ended_afterwards(replay):
            replay.begin(speed=6_000.0, hold=True)  # half a minute
            replay.until(lambda r: r["published"] > 600)
            if killed:
                replay.kill()
            machine.broker.kill()
            assert lose_tail(machine.broker, replay.topic, 5_000) == 5_000
            machine.broker.start()
            if killed:
                replay.start()
            code = _played_to_the_end(replay)
        assert code == 0
        check_whole(committed(machine.broker.bootstrap, replay.topic), machine.dsn, exchange)


@pytest.mark.timeout(60 + 60 * ROUNDS)
@pytest.mark.parametrize("killed", [True, False])
def test_the_transforms_of_a_replay_follow_it_where_the_broker_lost_records(
    machine: Machine, tmp_path: Path, killed: bool
) -> None:
    """The transforms' pod runs on, or is down meanwhile and has only its offsets."""
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    exchange = "transformed-killed" if killed else "transformed"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 3_000)
    mean = {"name": "mean", "sma": {"over": OVER}}
    spec = {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}, "transforms": [mean]}
    for _ in range(ROUNDS // 2):
        replay = ReplayProcess(tmp_path, connections, spec)
        transforms = TransformProcess(tmp_path, connections, "Replay", spec, replay.uid)
        with ended_afterwards(replay):
            transforms.start()
            try:
                replay.begin(speed=6_000.0, hold=True)  # half a minute
                eventually(partial(_published_points, transforms, 900))
                if killed:
                    assert transforms.stop() == 0
                machine.broker.kill()
                assert lose_tail(machine.broker, replay.topic, 20_000) == 20_000
                machine.broker.start()
                code = _played_to_the_end(replay)
                if killed:
                    transforms.start()
                eventually(partial(_complete_in_the_next_pod, transforms))
            finally:
                transforms.kill()
        assert code == 0
        assert "the broker lost processed records" in (transforms.home / "log").read_text()
        topic = f"tapedeck.points.{replay.uid}"
        found: dict[tuple[str, int], set[float]] = {}
        for _, point, _ in read_topic(machine.broker.bootstrap, topic, exchange):
            found.setdefault((point["symbol"], point["ts"]), set()).add(point["value"])
        assert all(len(values) == 1 for values in found.values())  # repeats are equal
        assert {key: value for key, (value,) in found.items()} == pytest.approx(_means(machine.dsn, exchange))


def _published_points(transforms: TransformProcess, count: int) -> bool:
    return bool(transforms.results().get("mean", {}).get("points", 0) > count)


def _complete_in_the_next_pod(transforms: TransformProcess) -> bool:
    """Whether all points are published; a pod that has ended is started again, as by its operator."""
    if not transforms.running():
        transforms.start()
    return transforms.running() and transforms.status().get("state") == "complete"


def _means(dsn: str, exchange: str) -> dict[tuple[str, int], float]:
    """The mean of the last closes of each symbol, summed by hand."""
    closes: dict[str, list[tuple[int, float]]] = {}
    for ts, symbol, _, _, _, close, _ in stored(dsn, exchange):
        closes.setdefault(symbol, []).append((ts, close))
    return {
        (symbol, series[n][0]): math.fsum(close for _, close in series[n - OVER + 1 : n + 1]) / OVER
        for symbol, series in closes.items()
        for n in range(OVER - 1, len(series))
    }


def _played_to_the_end(replay: ReplayProcess) -> int:
    """Send an anchor as the operator does, and restart a pod that failed for a while; returns the exit code."""
    for _ in range(8):
        with suppress(httpx.HTTPError, PodEnded):
            report = replay.until(lambda r: r["position"] is not None)
            replay.anchor(9, v0=report["position"], unpaced=True)
        if (code := replay.wait()) != 1:
            return code
        replay.start()
    return 1
