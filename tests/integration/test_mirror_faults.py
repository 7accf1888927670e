"""The live market's topic, which a Replay mirrors to, loses its last records or is deleted while the Replay plays."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]
from pydantic import SecretStr

from pods.machine import Machine, lose_markers, lose_tail, running_machine
from pods.recorder import caught_up, recorders, select
from pods.replay import (
    PodEnded,
    ReplayProcess,
    bars,
    check_watermarks,
    check_whole,
    committed,
    ended_afterwards,
    insert_minutes,
    stored,
)
from tapedeck_common import topics
from tapedeck_common.kafka import admin
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from waits import eventually

ROUNDS = max(2, int(os.environ.get("TAPEDECK_FAULTS", "2")))
RESTARTS = 8
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]
LOST = "SELECT count(*) FROM ingest_errors WHERE strpos(reason, 'the broker lost') > 0"
pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with running_machine(tmp_path_factory.mktemp("machine")) as running:
        yield running


@pytest.mark.timeout(60 + 60 * ROUNDS)
@pytest.mark.parametrize("killed", [True, False])
def test_what_the_store_lacks_of_a_mirrored_replay_is_reported(machine: Machine, tmp_path: Path, killed: bool) -> None:
    """Of a pod that ends with the broker, and of one that goes on. The Replay's own topic is whole."""
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    exchange = "killed" if killed else "running"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 1_500)
    spec = {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}, "record": True}
    rng = random.Random(exchange)
    with recorders(machine.folder, machine.broker.bootstrap, machine.postgres.dsn("tapedeck_recorder")) as (recorder,):
        recorder.start()
        for _ in range(ROUNDS // 2):
            (before,) = select(machine.dsn, LOST)
            replay = ReplayProcess(tmp_path, connections, spec)
            with ended_afterwards(replay):
                replay.begin(speed=6_000.0, hold=True)
                replay.until(lambda r: r["published"] > 600)
                if killed:
                    replay.kill()
                machine.broker.kill()
                assert lose_tail(machine.broker, topics.MARKET_BARS, rng.randrange(1_000, 5_000)) > 0
                machine.broker.start()
                if killed:
                    replay.start()
                code = _played_to_the_end(replay)
            assert code == 0
            check_whole(committed(machine.broker.bootstrap, replay.topic), machine.dsn, exchange)
            caught_up(machine.broker.bootstrap, machine.dsn, restarted=[recorder])
            found, whole = stored(machine.dsn, "replay.test"), stored(machine.dsn, exchange)
            assert set(found) <= set(whole)
            assert found == whole or select(machine.dsn, LOST) > [before]
            select(machine.dsn, "DELETE FROM bars WHERE exchange = 'replay.test' RETURNING 1")


def ends(machine: Machine, level: IsolationLevel) -> dict[int, int]:
    """The end of each partition of the live bars, for readers of this kind."""
    client = admin(Connections(kafka_bootstrap=machine.broker.bootstrap), "tests")
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topics.MARKET_BARS, number): latest for number in range(topics.PERMANENT_PARTITIONS)}
    answers = client.list_offsets(asked, isolation_level=level)
    return {place.partition: future.result(20).offset for place, future in answers.items()}


def blocked(machine: Machine) -> int | None:
    """In how many partitions of the live bars readers of committed records cannot reach the end.

    None while the broker starts.
    """
    try:
        reached = ends(machine, IsolationLevel.READ_COMMITTED)
        return sum(reached[number] < end for number, end in ends(machine, IsolationLevel.READ_UNCOMMITTED).items())
    except KafkaException:
        return None


@pytest.mark.parametrize("killed", [True, False])
def test_no_transaction_whose_end_is_lost_blocks_the_market(machine: Machine, tmp_path: Path, killed: bool) -> None:
    """The broker has the records of the last transaction, and lost that it is complete: it would wait for ever."""
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    exchange = "killed-open" if killed else "running-open"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 300)
    spec = {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}, "record": True}
    replay = ReplayProcess(tmp_path, connections, spec)
    with ended_afterwards(replay):
        replay.begin(unpaced=True, hold=True)
        replay.until(lambda r: r["state"] == "holding")
        eventually(lambda: blocked(machine) == 0)
        if killed:
            replay.kill()
        machine.broker.kill()
        assert lose_markers(machine.broker, topics.MARKET_BARS) == len(SYMBOLS)
        machine.broker.start()
        if killed:
            eventually(lambda: blocked(machine) == len(SYMBOLS))
            replay.start()
            replay.until(lambda r: r["position"] is not None)
            eventually(lambda: blocked(machine) == 0)
        code = _played_to_the_end(replay)
    assert code == 0
    eventually(lambda: blocked(machine) == 0)


def test_a_replay_ends_where_the_topic_of_its_copy_is_deleted(machine: Machine, tmp_path: Path) -> None:
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    insert_minutes(machine.dsn, "deleted", SYMBOLS, 3_000)
    source = {"store": {"exchange": "deleted", "symbols": SYMBOLS}}
    target = {"topic": topics.MARKET_BARS, "shared": True}
    replay = ReplayProcess(tmp_path, connections, {"source": source, "target": target})
    client = admin(connections, "tests")
    with ended_afterwards(replay):
        replay.begin(speed=6_000.0)
        replay.until(lambda r: r["published"] > 600)
        client.delete_topics([topics.MARKET_BARS])[topics.MARKET_BARS].result()
        for _ in range(RESTARTS):
            if (code := replay.wait()) != 1:
                break
            replay.start()
        assert (code, replay.last_report()["reason"]) == (64, "NoTopic")
    ensure_topics(client, topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS)
    records = committed(machine.broker.bootstrap, replay.topic)
    published = bars(records)
    assert published == stored(machine.dsn, "deleted")[: len(published)]
    check_watermarks(records)


def _played_to_the_end(replay: ReplayProcess) -> int:
    """Send an anchor as the operator does, and restart a pod that failed for a while; returns the exit code."""
    for _ in range(RESTARTS):
        with suppress(httpx.HTTPError, PodEnded):
            report = replay.until(lambda r: r["position"] is not None)
            replay.anchor(9, v0=report["position"], unpaced=True)
        if (code := replay.wait()) != 1:
            return code
        replay.start()
    return 1
