"""Two shards, their broker and their database killed one after another: no bar is lost and none is duplicated."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from pods.replay import (
    FENCED,
    MINUTE,
    T0,
    TEMPORARY,
    PodEnded,
    ReplayProcess,
    bars,
    check_watermarks,
    committed,
    insert_minutes,
    stored,
    wait_for,
)
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_crds.clock import Anchor
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import ROLES, SUPERUSER, Postgres

KILLS = int(os.environ.get("TAPEDECK_FAULTS", "3"))
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR"]
MINUTES = 500
END = T0 + MINUTES * MINUTE
SPEED = 15_000.0  # 1,000 bars a second; every round of two seconds is read from the store again
VICTIMS = ["broker", "database", "shard 0", "shard 1", "broker and database"]
FIRST = ["shard 1", "broker and database", "shard 0"]  # the victims of the first kills
SPEC = {"source": {"store": {"exchange": "x", "symbols": SYMBOLS}}, "shards": 2}


@dataclass
class ShardedReplay:
    """Two shards with their own broker and database; a failed shard is restarted, as a Job does."""

    broker: KafkaBroker
    postgres: Postgres
    pods: list[ReplayProcess]

    def restart_shard(self, number: int) -> None:
        self.pods[number].kill()
        self.pods[number].start()

    def kill(self, victim: str) -> None:
        match victim:
            case "broker":
                self.broker.kill()
                self.broker.start()
            case "database":
                self.postgres.kill()
                self.postgres.start()
            case "broker and database":
                self.postgres.kill()
                self.broker.kill()
                self.postgres.start()
                self.broker.start()
            case _:
                self.restart_shard(int(victim[-1]))

    def published(self) -> list[int]:
        """Published bars of each shard, 0 while one exits. Restarts shards that have exited."""
        for pod in self.pods:
            assert pod.process is not None
            code = pod.process.poll()
            if code is not None:
                # A temporary failure, or the broker took so long to come back that it has ended the transaction.
                assert code in (TEMPORARY, FENCED), pod.last_report()
                pod.start()
        return [published_by(pod) for pod in self.pods]

    def wait_for_progress(self, seconds: float = 90) -> None:
        """Wait until each shard has committed more."""
        before = self.published()
        wait_for(lambda: all(n > h for n, h in zip(self.published(), before, strict=True)), "progress", seconds)

    def send_anchor(self, anchor: Anchor) -> None:
        for pod in self.pods:
            assert pod.control(**anchor.model_dump(by_alias=True)).status_code == 202


def published_by(pod: ReplayProcess) -> int:
    try:
        return int(pod.status()["published"])
    except (httpx.TransportError, PodEnded):
        return 0


@contextmanager
def sharded_replay(folder: Path) -> Iterator[ShardedReplay]:
    broker, postgres = KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres", (*ROLES, SUPERUSER))
    pods: list[ReplayProcess] = []
    try:
        broker.launch()
        postgres.start()
        broker.wait_ready()
        upgrade_schema(postgres.dsn())
        connections = Connections(kafka_bootstrap=broker.bootstrap, store_dsn=SecretStr(postgres.dsn()))
        uid = str(uuid.uuid4())
        pods += [ReplayProcess(folder / "pods", connections, SPEC, uid=uid, shard=shard) for shard in (0, 1)]
        yield ShardedReplay(broker, postgres, pods)
    finally:
        for pod in pods:
            if pod.process is not None and pod.process.poll() is None:
                pod.process.kill()
        broker.stop()
        postgres.stop()


@pytest.mark.slow
@pytest.mark.faults
def test_killed_at_seeded_instants(tmp_path: Path) -> None:
    rng = random.Random(20180404)
    with sharded_replay(tmp_path) as replay:
        insert_minutes(replay.postgres.dsn(), "x", SYMBOLS, MINUTES)
        for pod in replay.pods:
            pod.start()
        for pod in replay.pods:
            pod.until(lambda r: r["state"] == "waiting")
        w0 = int(time.time() * 1000) + 500
        first = Anchor(number=1, v0=T0, w0=w0, speed=SPEED, loop_rounds=0, loop_from=T0, loop_to=END)
        replay.send_anchor(first)
        replay.wait_for_progress()
        victims = list(FIRST)
        for _ in range(KILLS):
            victims = victims or rng.sample(VICTIMS, len(VICTIMS))
            time.sleep(rng.random())
            replay.kill(victims.pop())
            replay.wait_for_progress()
        w0 = int(time.time() * 1000) + 5_000  # a pod that got it later would play rounds beyond the last one
        loop_round, v = first.place(w0)
        last = {"number": 2, "v0": round(v), "w0": w0, "loop_round": loop_round, "loop_rounds": loop_round + 2}
        replay.send_anchor(first.model_copy(update=last))
        assert [pod.wait() for pod in replay.pods] == [0, 0]

        every = stored(replay.postgres.dsn(), "x")
        parts = [committed(replay.broker.bootstrap, replay.pods[0].topic, number) for number in (0, 1)]
        shares = [{bar[1] for bar in bars(records)} for records in parts]
        assert sorted([*shares[0], *shares[1]]) == sorted(SYMBOLS)
        for records, mine in zip(parts, shares, strict=True):
            expected = [bar for bar in every if bar[1] in mine]
            epochs = [record.epoch for record in records]
            assert epochs == sorted(epochs, key=lambda epoch: int(epoch.split(".")[1]))
            assert bars(records) == expected * (loop_round + 2)
            assert [r.kind for r in records if r.kind in ("start", "end")] == ["start", "end"]
            assert records[-1].value["published"] == (loop_round + 2) * len(expected)
            check_watermarks(records)
        print(f"{KILLS} kills, {loop_round + 2} rounds, pods {[pod.lives for pod in replay.pods]}")
