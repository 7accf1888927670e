"""A replay with several shards: one clock, every symbol in one partition, no bar lost by kills."""

from __future__ import annotations

import json
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pods.replay import MINUTE, T0, Record, ReplayProcess, bars, committed, insert_minutes, stored
from tapedeck_common import topics
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json

MINUTES = 9_000
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR"]
SYNC_MS = 5
LEAD_MS = 5_000  # a pod that gets an anchor later has played beyond it
FIELDS = ("ts", "symbol", "open", "high", "low", "close", "volume")
SPEC: Json = {"source": {"store": {"exchange": "x", "symbols": SYMBOLS}}, "shards": 2}


@pytest.fixture
def shards(tmp_path: Path, connections: Connections, store: str) -> Iterator[list[ReplayProcess]]:
    insert_minutes(store, "x", SYMBOLS, MINUTES)
    uid = str(uuid.uuid4())
    pods = [ReplayProcess(tmp_path, connections, SPEC, uid=uid, shard=shard) for shard in (0, 1)]
    yield pods
    for pod in pods:
        if pod.process is not None and pod.process.poll() is None:
            pod.process.kill()


def partition_of(symbol: str) -> int:
    return zlib.crc32(f"x:{symbol}".encode()) % 2


def send_anchor(pods: list[ReplayProcess], number: int, **values: Any) -> Json:
    """Send the same anchor to every pod; it takes force after LEAD_MS."""
    anchor: Json = {"number": number, "v0": T0, "w0": int(time.time() * 1000) + LEAD_MS, "speed": 1.0} | values
    for pod in pods:
        assert pod.control(**anchor).status_code == 202
    return anchor


def earliest(records: list[Record], anchor: Json, since: int, until: float) -> float:
    """The least lateness of the bars with event times in (since, until], milliseconds."""
    late: list[float] = [
        r.stamp - (anchor["w0"] + (r.value["ts"] + MINUTE - anchor["v0"]) / anchor["speed"])
        for r in records
        if r.kind == "bar" and since < r.value["ts"] + MINUTE <= until
    ]
    assert len(late) > 20
    return min(late)


@pytest.mark.slow
def test_one_clock_through_speed_pause_seek_and_a_kill(
    shards: list[ReplayProcess], store: str, connections: Connections
) -> None:
    for pod in shards:
        pod.start()
    for pod in shards:
        report = pod.until(lambda r: r["state"] == "waiting")
        assert (report["range_from"], report["last_event"]) == (T0, T0 + MINUTES * MINUTE)
    first = send_anchor(shards, 1, speed=6_000.0)  # 100 minutes of each symbol a second
    shards[1].until(lambda r: r["position"] > T0 + 200 * MINUTE)
    shards[1].kill()
    shards[1].start()
    shards[1].until(lambda r: r["state"] == "running" and r["position"] > T0 + 400 * MINUTE)
    w0 = int(time.time() * 1000) + LEAD_MS
    switch = round(first["v0"] + (w0 - first["w0"]) * first["speed"])
    second = send_anchor(shards, 2, w0=w0, v0=switch, speed=12_000.0)
    for pod in shards:
        pod.until(lambda r: r["anchor"]["number"] == 2)
    w0 = int(time.time() * 1000) + LEAD_MS
    held = round(second["v0"] + (w0 - second["w0"]) * second["speed"])
    send_anchor(shards, 3, w0=w0, v0=held, speed=0.0)
    assert [pod.until(lambda r: r["state"] == "paused")["position"] for pod in shards] == [held, held]
    resumed = send_anchor(shards, 4, v0=held, speed=12_000.0)
    for pod in shards:
        pod.until(lambda r: r["anchor"]["number"] == 4)
    to = T0 + 2_600 * MINUTE
    third = send_anchor(shards, 5, v0=to, speed=12_000.0, epoch=1, seek_id="a", seek_to=to)
    shards[0].until(lambda r: r["epoch"] == "1.0" and r["position"] > to + 800 * MINUTE)
    send_anchor(shards, 6, v0=to, unpaced=True, epoch=1, seek_id="a", seek_to=to)
    assert [pod.wait() for pod in shards] == [0, 0]

    parts = [committed(connections.kafka_bootstrap, shards[0].topic, p) for p in (0, 1)]
    every = stored(store, "x")
    for number, records in enumerate(parts):
        mine = [bar for bar in every if partition_of(bar[1]) == number]
        before, after = bars(records, "0.0"), bars(records, "1.0")
        assert before == mine[: len(before)]
        assert after == [bar for bar in mine if bar[0] + MINUTE > to]
        assert [r.value for r in records if r.kind == "start"] == [parts[0][0].value]
        assert [r.kind for r in records].count("end") == 1
    # The killed shard catches up well before the switch; from then on its lateness equals that of the other.
    spans = [
        (first, switch - 400 * MINUTE, switch),
        (second, switch, switch + 800 * MINUTE),
        (resumed, held, held + 800 * MINUTE),
        (third, to, to + 800 * MINUTE),
    ]
    for anchor, since, until in spans:
        least = [
            earliest(
                [r for r in p if r.kind == "bar" and (r.epoch == "1.0") == (anchor is third)], anchor, since, until
            )
            for p in parts
        ]
        print("earliest ms:", least)
        assert min(least) > -1.001
        assert abs(least[0] - least[1]) <= SYNC_MS


def test_mirrors_to_the_market_topic_and_records(tmp_path: Path, store: str, connections: Connections) -> None:
    insert_minutes(store, "x", SYMBOLS, 50)
    spec = SPEC | {"shards": 1, "record": True, "target": {"topic": "market.bars", "shared": True}}
    replay = ReplayProcess(tmp_path, connections, spec)
    replay.begin(unpaced=True)
    assert replay.wait() == 0
    expected = stored(store, "x")
    shared: list[Record] = []
    for partition in range(topics.PERMANENT_PARTITIONS):
        shared += committed(connections.kafka_bootstrap, topics.MARKET_BARS, partition, ["x", replay.recorded])
    copies = [r for r in shared if r.header == f"1;replay;{replay.uid};0.0"]
    recorded = [r for r in shared if r.header == f"1;replay;{replay.uid}"]
    for found, exchange in ((copies, "x"), (recorded, replay.recorded)):
        assert sorted(tuple(r.value[name] for name in FIELDS) for r in found) == sorted(expected)
        assert {r.value["exchange"] for r in found} == {exchange}
        assert {r.key for r in found} == {f"{exchange}:{symbol}" for symbol in SYMBOLS}
    assert json.dumps(bars(committed(connections.kafka_bootstrap, replay.topic))) == json.dumps(expected)
