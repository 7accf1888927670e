"""Hostile records on a replay's own topic, by a program that may write there: the replay is whole, the gateway works,
and a run is whole or says which record it cannot read.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pods.backtest import BacktestPod, read_records
from pods.gateway import running_gateway
from pods.machine import Machine
from pods.replay import (
    ReplayProcess,
    check_whole,
    committed,
    ended_afterwards,
    insert_minutes,
    played_to_the_end,
)
from pods.runs import spec
from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_common.wire import Epoch, ReplayEnd, encode, replay_headers
from tapedeck_crds.json import Json

ROUNDS = int(os.environ.get("TAPEDECK_FAULTS", "1"))
MINUTES, SYMBOL = 3_000, "BTC/USD"
BAR = encode(Bar("hostile", "BTC/USD", "1m", 1_522_800_000_000, 1.0, 1e9, 0.5, 1e9, 1.0))
OTHER = "00000000-0000-0000-0000-000000000000"
pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(120 + 60 * ROUNDS)]


def hostile(rng: random.Random) -> tuple[bytes | None, bytes | None, Any]:
    """A key, a value and headers that no replay writes."""
    values = (
        None, b"", b"{", b"[" * 5_000, b"\x00\xff" * 400_000, b'{"ts":' + b"9" * 5_000 + b"}", BAR, BAR[:40],
        encode(ReplayEnd("1.1", 1_522_800_000_000, 7)),
    )  # fmt: skip
    headers: tuple[Any, ...] = (
        None, [], [("td", None)], [("td", b"")], [("td", b"\xff\xfe")], [("td", b"1;live")], [("td", b"x" * 9_000)],
        [("td", b"99;replay;x;1.1")], replay_headers(OTHER, Epoch()), replay_headers(OTHER, Epoch(9), control=True),
        [("td", b"1;live"), *replay_headers(OTHER, Epoch())],
    )  # fmt: skip
    return rng.choice((None, b"", b"\xff", b"hostile:BTC/USD", b"x:BTC/USD")), rng.choice(values), rng.choice(headers)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_replay_and_its_readers_keep_to_its_own_records(machine: Machine, tmp_path: Path, seed: int) -> None:
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    rng = random.Random(seed)
    exchange = f"hostile-{seed}"
    insert_minutes(machine.dsn, exchange, [SYMBOL], MINUTES)
    source: Json = {"source": {"store": {"exchange": exchange, "symbols": [SYMBOL]}}}
    replay = ReplayProcess(tmp_path, connections, source)
    attacker = producer(connections, "attacker")

    def attack() -> None:
        for _ in range(50):
            key, value, headers = hostile(rng)
            attacker.produce(replay.topic, value, key, 0, headers=headers)
        assert attacker.flush(30) == 0

    replay.begin(speed=60_000.0, hold=True)  # three seconds
    run = BacktestPod(connections, tmp_path / "run", spec({"replay": {"name": "replay"}}), replay_uid=replay.uid)
    run.start()
    folder = tmp_path / "gateway"
    folder.mkdir()
    with ended_afterwards(replay), running_gateway(folder, connections) as gateway:
        for published in (100, 1_000, 2_000):
            replay.until(lambda r, published=published: r["published"] > published)  # type: ignore[misc]
            attack()
            if rng.random() < 0.5:
                replay.kill()
                replay.start()
        assert played_to_the_end(replay) == 0
        attack()
        assert gateway.get("/readyz")[0] == 200
    check_whole(committed(machine.broker.bootstrap, replay.topic, uid=replay.uid), machine.dsn, exchange)
    code = run.wait()
    log = run.log.read_text()
    if code == 0:
        assert len(read_records(connections, run.uid).equity) == MINUTES
    else:  # it says which record it cannot read, rather than trade on what may be incomplete
        assert code == 64
        assert re.search(rf'"reason": "BadStream", "message": "{replay.topic} partition 0 offset \d+: ', log), log
