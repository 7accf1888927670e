"""A replay's pod killed at random instants, and two pods at once: no bar is lost and none is duplicated."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions

from pods.replay import MINUTE, T0, ReplayProcess, bars, check_watermarks, committed, end_of, insert_minutes, stored
from tapedeck_common import wire
from tapedeck_common.kafka import admin, producer
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_deck.embedded.processes import wait_exit
from waits import within

KILLS = int(os.environ.get("TAPEDECK_FAULTS", "3"))
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]
SPEC = {"source": {"store": {"exchange": "x", "symbols": SYMBOLS}}}


@pytest.fixture
def replay(tmp_path: Path, connections: Connections) -> Iterator[ReplayProcess]:
    running = ReplayProcess(tmp_path, connections, SPEC)
    yield running
    if running.process is not None and running.process.poll() is None:
        running.process.kill()


@pytest.mark.slow
@pytest.mark.faults
def test_killed_at_random_instants(replay: ReplayProcess, store: str, connections: Connections) -> None:
    rng = random.Random(20180404)
    minutes = 20_000 + 14_000 * KILLS  # enough for most kills to hit before the end
    insert_minutes(store, "x", SYMBOLS, minutes)
    replay.begin(unpaced=True, hold=True)
    hit = had = 0
    for _ in range(KILLS):
        replay.until(lambda r, had=had: r["published"] > had or r["state"] == "holding")  # type: ignore[misc]
        time.sleep(rng.random() * 0.08)
        replay.kill()
        replay.start()
        reached = replay.until(lambda r: r["anchor"] is not None)
        had = reached["published"]
        hit += had < 3 * minutes
    replay.anchor(2, v0=reached["position"], unpaced=True)
    assert replay.wait() == 0
    assert hit > 0, "every kill came after the end"
    print(f"{hit} of {KILLS} kills before the end")
    records = committed(connections.kafka_bootstrap, replay.topic)
    assert bars(records) == stored(store, "x")
    assert [r.kind for r in records].count("start") == 1
    assert end_of(records).value["published"] == 3 * minutes == replay.last_report()["published"]
    check_watermarks(records)


def test_a_successor_fences_a_running_predecessor(replay: ReplayProcess, store: str, connections: Connections) -> None:
    insert_minutes(store, "x", SYMBOLS, 3_000)
    replay.begin(speed=1_000.0)  # three minutes, longer than the successor needs to start
    replay.until(lambda r: r["published"] > 100)
    zombie, zombie_home = replay.process, replay.home
    assert zombie is not None
    replay.start()
    assert wait_exit(zombie, 60) == 75, (zombie_home / "log").read_text()[-4000:]
    position = replay.until(lambda r: r["anchor"] is not None)["position"]
    replay.anchor(2, v0=position, unpaced=True)
    assert replay.wait() == 0
    assert '"reason":"Fenced"' in (zombie_home / "termination").read_text()
    records = committed(connections.kafka_bootstrap, replay.topic)
    assert bars(records) == stored(store, "x")
    check_watermarks(records)


def test_resumes_from_the_watermark_when_the_group_has_expired(
    replay: ReplayProcess, store: str, connections: Connections
) -> None:
    insert_minutes(store, "x", SYMBOLS, 3_000)
    replay.begin(speed=3_000.0)  # a minute
    replay.until(lambda r: r["published"] > 500)
    replay.kill()
    group = ConsumerGroupTopicPartitions(replay.topic)
    replay.start()  # the kill left a transaction open, which the successor's start aborts
    replay.until(lambda r: r["anchor"] is not None)
    replay.kill()
    client = admin(connections, "test")
    offsets = client.list_consumer_group_offsets([group])[replay.topic].result().topic_partitions
    assert offsets[0].offset > 500
    client.delete_consumer_groups([replay.topic])[replay.topic].result()

    replay.start()
    report = replay.until(lambda r: r["state"] == "waiting")  # a watermark contains no anchor
    assert report["published"] == report["passed"] > 500
    assert T0 < report["position"] < T0 + 3_000 * MINUTE
    replay.anchor(9, v0=report["position"], unpaced=True)
    assert replay.wait() == 0
    records = committed(connections.kafka_bootstrap, replay.topic)
    assert bars(records) == stored(store, "x")
    assert [r.kind for r in records].count("start") == 1
    check_watermarks(records)


def test_a_successor_skips_what_its_replay_did_not_write_and_counts_what_it_did(
    replay: ReplayProcess, store: str, connections: Connections
) -> None:
    """Of its own, bars without a watermark: the broker lost the rest of a transaction, and committed it later."""
    insert_minutes(store, "x", SYMBOLS, 3_000)
    replay.begin(speed=3_000.0)  # a minute
    replay.until(lambda r: r["published"] > 500)
    assert replay.process is not None
    replay.process.send_signal(signal.SIGTERM)
    assert replay.wait() == 143
    ahead = wire.encode(wire.Watermark("9.0", T0 + 2_900 * MINUTE, None, 8_000))
    own = wire.replay_headers(replay.uid, wire.Epoch(), control=True)
    foreign: list[tuple[bytes | None, wire.Headers]] = [
        (ahead, []),
        (ahead, [("td", b"1;replay")]),
        (ahead, [("td", b"\xff;;;;")]),
        (ahead, wire.replay_headers(str(uuid.uuid4()), wire.Epoch(9), control=True)),
        (b"{" * 2_000, own),
        (None, own),
        (b'{"type":"watermark","epoch":"0.0","v":"soon"}', own),
        (b'{"type":"watermark","epoch":"9.zero","v":9,"published":1}', own),
    ]
    published = len(bars(committed(connections.kafka_bootstrap, replay.topic)))
    writer = producer(connections, "foreign")
    for value, headers in foreign:
        writer.produce(replay.topic, value, partition=0, headers=headers)
    for ts, symbol, *prices in stored(store, "x")[published : published + 4]:  # three bars have one event time
        value = wire.encode(Bar("x", symbol, "1m", ts, *prices))
        writer.produce(replay.topic, value, f"x:{symbol}", 0, headers=wire.replay_headers(replay.uid, wire.Epoch()))
    assert writer.flush(30) == 0
    assert len(bars(committed(connections.kafka_bootstrap, replay.topic, exchanges=["x"]))) == published + 4
    replay.start()
    report = replay.until(lambda r: r["position"] is not None)
    assert T0 < report["position"] < T0 + 2_900 * MINUTE, report
    replay.anchor(9, v0=report["position"], unpaced=True)
    assert replay.wait() == 0, (replay.home / "log").read_text()[-4000:]
    assert bars(committed(connections.kafka_bootstrap, replay.topic, exchanges=["x"])) == stored(store, "x")
    assert replay.last_report()["published"] == 9_000


def test_stops_at_sigterm_and_resumes(replay: ReplayProcess, store: str, connections: Connections) -> None:
    insert_minutes(store, "x", SYMBOLS, 3_000)
    replay.begin(speed=3_000.0)  # a minute
    replay.until(lambda r: r["published"] > 100)
    assert replay.process is not None
    with within(5):
        replay.process.send_signal(signal.SIGTERM)
        assert replay.wait() == 143
    left = replay.last_report()
    assert left["state"] == "running"
    replay.start()
    reached = replay.until(lambda r: r["state"] == "running" and r["published"] > left["published"])
    replay.anchor(2, v0=reached["position"], unpaced=True)
    assert replay.wait() == 0
    records = committed(connections.kafka_bootstrap, replay.topic)
    assert bars(records) == stored(store, "x")
