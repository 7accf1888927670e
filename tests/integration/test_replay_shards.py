"""A replay of several pods: one clock, each symbol in one partition, nothing lost whoever dies."""

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

MINUTES = 4_000
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR"]
SYNC_MS = 5
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


def place_of(symbol: str) -> int:
    return zlib.crc32(f"x:{symbol}".encode()) % 2


def tell(pods: list[ReplayProcess], number: int, **values: Any) -> Json:
    """The same anchor for each pod, from half a second on."""
    anchor: Json = {"number": number, "v0": T0, "w0": int(time.time() * 1000) + 500, "speed": 1.0} | values
    for pod in pods:
        assert pod.control(**anchor).status_code == 202
    return anchor


def earliest(records: list[Record], anchor: Json, since: int, until: float) -> float:
    """How soon after its time a bar due from ``since`` to ``until`` was handed over at best, milliseconds."""
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
    first = tell(shards, 1, speed=12_000.0)  # 200 minutes of each symbol a second
    shards[1].until(lambda r: r["position"] > T0 + 200 * MINUTE)
    shards[1].kill()
    shards[1].start()
    shards[1].until(lambda r: r["state"] == "running" and r["position"] > T0 + 400 * MINUTE)
    time.sleep(0.5)
    w0 = int(time.time() * 1000) + 500
    switch = round(first["v0"] + (w0 - first["w0"]) * first["speed"])
    second = tell(shards, 2, w0=w0, v0=switch, speed=24_000.0)
    time.sleep(1.5)
    w0 = int(time.time() * 1000) + 500
    held = round(second["v0"] + (w0 - second["w0"]) * second["speed"])
    tell(shards, 3, w0=w0, v0=held, speed=0.0)
    assert [pod.until(lambda r: r["state"] == "paused")["position"] for pod in shards] == [held, held]
    resumed = tell(shards, 4, v0=held, speed=24_000.0)
    time.sleep(1.5)
    to = T0 + 2_600 * MINUTE
    third = tell(shards, 5, v0=to, speed=24_000.0, epoch=1, seek_id="a", seek_to=to)
    shards[0].until(lambda r: r["epoch"] == "1.0" and r["position"] > to + 400 * MINUTE)
    tell(shards, 6, v0=to, unpaced=True, epoch=1, seek_id="a", seek_to=to)
    assert [pod.wait() for pod in shards] == [0, 0]

    parts = [committed(connections.kafka_bootstrap, shards[0].topic, p) for p in (0, 1)]
    every = stored(store, "x")
    for number, records in enumerate(parts):
        mine = [bar for bar in every if place_of(bar[1]) == number]
        before, after = bars(records, "0.0"), bars(records, "1.0")
        assert before == mine[: len(before)]
        assert after == [bar for bar in mine if bar[0] + MINUTE > to]
        assert [r.value for r in records if r.kind == "start"] == [parts[0][0].value]
        assert [r.kind for r in records].count("end") == 1
    # The killed one has caught up well before the switch; its bars since then are as soon as the other's.
    spans = [
        (first, switch - 100 * MINUTE, switch),
        (second, switch, switch + 400 * MINUTE),
        (resumed, held, held + 400 * MINUTE),
        (third, to, to + 400 * MINUTE),
    ]
    for anchor, since, until in spans:
        soonest = [
            earliest(
                [r for r in p if r.kind == "bar" and (r.epoch == "1.0") == (anchor is third)], anchor, since, until
            )
            for p in parts
        ]
        print("earliest ms:", soonest)
        assert min(soonest) > -1.001
        assert abs(soonest[0] - soonest[1]) <= SYNC_MS


def test_kept_and_shared(tmp_path: Path, store: str, connections: Connections) -> None:
    insert_minutes(store, "x", SYMBOLS, 50)
    spec = SPEC | {"shards": 1, "record": True, "target": {"topic": "market.bars", "shared": True}}
    replay = ReplayProcess(tmp_path, connections, spec)
    replay.begin(unpaced=True)
    assert replay.wait() == 0
    wanted = stored(store, "x")
    shared: list[Record] = []
    for partition in range(topics.STANDING_PARTITIONS):
        shared += committed(connections.kafka_bootstrap, topics.MARKET_BARS, partition, ["x", "replay.test"])
    copies = [r for r in shared if r.header == f"1;replay;{replay.uid};0.0"]
    kept = [r for r in shared if r.header == "1;synthetic" and r.value["exchange"] == "replay.test"]
    for found, exchange in ((copies, "x"), (kept, "replay.test")):
        assert sorted(tuple(r.value[name] for name in FIELDS) for r in found) == sorted(wanted)
        assert {r.value["exchange"] for r in found} == {exchange}
        assert {r.key for r in found} == {f"{exchange}:{symbol}" for symbol in SYMBOLS}
    assert json.dumps(bars(committed(connections.kafka_bootstrap, replay.topic))) == json.dumps(wanted)
