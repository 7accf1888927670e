"""The live market's topic, which a Replay mirrors to, loses its last records or is deleted while the Replay plays."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from pods.machine import Machine, lose_markers, lose_rest, lose_tail, segment_sizes
from pods.recorder import caught_up, recorders
from pods.replay import (
    RESTARTS,
    ReplayProcess,
    bars,
    check_watermarks,
    check_whole,
    committed,
    ended_afterwards,
    insert_minutes,
    played_to_the_end,
    stored,
)
from tapedeck_common import topics
from tapedeck_common.kafka import admin
from tapedeck_common.topic_admin import ensure_topics
from waits import eventually

ROUNDS = max(2, int(os.environ.get("TAPEDECK_FAULTS", "2")))
KILLS = 10
HIDDEN_SECONDS = 30.0  # the timeout of a transaction, 5 s, and the broker looks every 10 s
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]
pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.mark.timeout(60 + 60 * ROUNDS)
@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("recording", [True, False])
def test_what_the_store_lacks_of_a_mirrored_replay_is_reported(
    machine: Machine, tmp_path: Path, recording: bool, killed: bool
) -> None:
    """Of a pod that ends with the broker, and of one that goes on. The Replay's own topic is whole.

    Where no recorder runs meanwhile, the broker loses what nobody has read.
    """
    exchange = f"{'killed' if killed else 'running'}-{'recorded' if recording else 'unread'}"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 1_500)
    spec = {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}, "record": True}
    rng = random.Random(exchange)
    with recorders(machine.folder, machine.broker.bootstrap, machine.postgres.dsn("tapedeck_recorder")) as (recorder,):
        for _ in range(ROUNDS // 2):
            if recording:
                recorder.start()
            before = machine.reported_losses()
            eventually(lambda: known_ends(machine))
            written = segment_sizes(machine.broker, topics.MARKET_BARS)
            replay = ReplayProcess(tmp_path, machine.connections, spec)
            with ended_afterwards(replay):
                replay.begin(speed=6_000.0, hold=True)
                replay.until(lambda r: r["published"] > 600)
                if killed:
                    replay.kill()
                machine.broker.kill()
                if recording:
                    lost = lose_tail(machine.broker, topics.MARKET_BARS, rng.randrange(1_000, 5_000))
                else:  # a few bytes may be of the transaction that was not committed, which the pod repeats
                    lost = lose_rest(written)
                assert lost > 0
                machine.broker.start()
                if killed:
                    replay.start()
                code = played_to_the_end(replay)
            assert code == 0
            check_whole(committed(machine.broker.bootstrap, replay.topic), machine.dsn, exchange)
            if not recording:
                recorder.start()
            caught_up(machine.broker.bootstrap, machine.dsn, restarted=[recorder])
            found, whole = stored(machine.dsn, replay.recorded), stored(machine.dsn, exchange)
            assert set(found) <= set(whole)
            assert found == whole or machine.reported_losses() > before
            assert recording or found != whole
            recorder.stop()


def ends(machine: Machine, level: IsolationLevel) -> dict[int, int]:
    """The end of each partition of the live bars, for readers of this kind."""
    client = admin(machine.connections, "tests")
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topics.MARKET_BARS, number): latest for number in range(topics.PERMANENT_PARTITIONS)}
    answers = client.list_offsets(asked, isolation_level=level)
    return {place.partition: future.result(60).offset for place, future in answers.items()}


def blocked(machine: Machine) -> int | None:
    """In how many partitions of the live bars readers of committed records cannot reach the end.

    None while the broker starts.
    """
    try:
        reached = ends(machine, IsolationLevel.READ_COMMITTED)
        return sum(reached[number] < end for number, end in ends(machine, IsolationLevel.READ_UNCOMMITTED).items())
    except KafkaException:
        return None


@contextmanager
def held_at_its_end(machine: Machine, replay: ReplayProcess) -> Iterator[set[int]]:
    """Play a Replay until it holds. Gives the partitions of the live bars that have its copies: names decide which."""
    before = eventually(lambda: known_ends(machine))
    with ended_afterwards(replay):
        replay.begin(unpaced=True, hold=True)
        replay.until(lambda r: r["state"] == "holding")
        eventually(lambda: blocked(machine) == 0)
        yield {number for number, end in ends(machine, IsolationLevel.READ_UNCOMMITTED).items() if end > before[number]}


def known_ends(machine: Machine) -> dict[int, int] | None:
    """The ends of the live bars; None while the broker starts."""
    with suppress(KafkaException):
        return ends(machine, IsolationLevel.READ_UNCOMMITTED)
    return None


@pytest.mark.parametrize("killed", [True, False])
def test_no_transaction_whose_end_is_lost_blocks_the_market(machine: Machine, tmp_path: Path, killed: bool) -> None:
    """The broker has the records of the last transaction, and lost that it is complete: it would wait for ever."""
    exchange = "killed-open" if killed else "running-open"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 300)
    spec = {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}, "record": True}
    replay = ReplayProcess(tmp_path, machine.connections, spec)
    with held_at_its_end(machine, replay) as partitions:
        if killed:
            replay.kill()
        machine.broker.kill()
        assert lose_markers(machine.broker, topics.MARKET_BARS, partitions) == len(partitions) > 0
        machine.broker.start()
        if killed:
            eventually(lambda: blocked(machine) == len(partitions))
            replay.start_until(lambda r: r["position"] is not None)
            eventually(lambda: blocked(machine) == 0)
        code = played_to_the_end(replay)
    assert code == 0
    eventually(lambda: blocked(machine) == 0)


@pytest.mark.parametrize("kept", ["recorded", "shared"])
def test_the_recorder_ends_a_transaction_of_a_replay_that_is_gone(machine: Machine, tmp_path: Path, kept: str) -> None:
    """The Replay and its topic are deleted, and the broker has lost the end of its last transaction."""
    exchange = f"gone-{kept}"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 300)
    shared = {"target": {"topic": topics.MARKET_BARS, "shared": True}}
    spec = {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}}
    replay = ReplayProcess(tmp_path, machine.connections, spec | ({"record": True} if kept == "recorded" else shared))
    with held_at_its_end(machine, replay) as partitions:
        replay.kill()
    admin(machine.connections, "tests").delete_topics([replay.topic])[replay.topic].result()
    machine.broker.kill()
    assert lose_markers(machine.broker, topics.MARKET_BARS, partitions) == len(partitions) > 0
    machine.broker.start()
    eventually(lambda: blocked(machine) == len(partitions))
    with recorders(machine.folder, machine.broker.bootstrap, machine.postgres.dsn("tapedeck_recorder")) as (recorder,):
        recorder.start()
        eventually(lambda: blocked(machine) == 0, 60)
        caught_up(machine.broker.bootstrap, machine.dsn, restarted=[recorder])


def test_a_replay_that_is_gone_hides_the_market_for_a_few_seconds(machine: Machine, tmp_path: Path) -> None:
    """Its pod is killed in mid-transaction, and no other follows: the broker ends the transaction."""
    insert_minutes(machine.dsn, "open", SYMBOLS, 30_000)
    source = {"store": {"exchange": "open", "symbols": SYMBOLS}}
    target = {"topic": topics.MARKET_BARS, "shared": True}
    for _ in range(KILLS):
        replay = ReplayProcess(tmp_path, machine.connections, {"source": source, "target": target})
        with ended_afterwards(replay):
            replay.begin(unpaced=True)
            replay.until(lambda r: r["published"] > 600)
            replay.kill()
        if blocked(machine):
            break
    else:
        pytest.fail(f"no transaction was open at {KILLS} kills")
    eventually(lambda: blocked(machine) == 0, HIDDEN_SECONDS)


def test_a_replay_ends_where_the_topic_of_its_copy_is_deleted(machine: Machine, tmp_path: Path) -> None:
    insert_minutes(machine.dsn, "deleted", SYMBOLS, 3_000)
    source = {"store": {"exchange": "deleted", "symbols": SYMBOLS}}
    target = {"topic": topics.MARKET_BARS, "shared": True}
    replay = ReplayProcess(tmp_path, machine.connections, {"source": source, "target": target})
    client = admin(machine.connections, "tests")
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
