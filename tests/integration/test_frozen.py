"""A part that stands still for a while (SIGSTOP) and goes on: nothing is lost or doubled, and no hand is needed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from pods.backtest import BacktestPod, read_records
from pods.machine import Machine, running_machine
from pods.recorder import RecorderProcess, recorders
from pods.replay import (
    ReplayProcess,
    check_whole,
    committed,
    ended_afterwards,
    insert_minutes,
)
from pods.runs import random_walk, spec, store_data
from pods.store import insert_bars
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from waits import eventually

FULL = int(os.environ.get("TAPEDECK_FAULTS", "1")) >= 20
# Longer than the session of the recorder's group (6 s) and a transaction that others wait for (5 s), and shorter ones.
SECONDS = [60.0, *(random.Random(16).uniform(0.5, 15) for _ in range(19))] if FULL else [8.0]
SERVICES = ["broker", "database"] if FULL else []
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]
SLOW = """
import time
import backtrader as bt
class Slow(bt.Strategy):
    def next(self):
        if len(self) == 500:
            print("slow", flush=True)
            for _ in range(10): time.sleep(0.1)
        if len(self) % 100 == 0: self.buy(size=1)
"""
pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1800 if FULL else 180)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with running_machine(tmp_path_factory.mktemp("frozen")) as running:
        yield running


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process and its descendants, as a suspended machine or a full cgroup does; continue them afterwards."""
    process = psutil.Process(pid)
    stopped = [process, *process.children(recursive=True)]
    try:
        for each in stopped:
            each.send_signal(signal.SIGSTOP)
        yield
    finally:
        for each in stopped:
            each.send_signal(signal.SIGCONT)


def pid_of(part: str, machine: Machine, pod: RecorderProcess | ReplayProcess) -> int:
    services = {"broker": machine.broker.process, "database": machine.postgres.process}
    process = services.get(part, pod.process)
    assert process is not None
    return process.pid


@pytest.mark.parametrize("part", ["recorder", *SERVICES])
def test_each_record_is_stored_once(machine: Machine, part: str) -> None:
    dsn = machine.postgres.dsn("tapedeck_recorder")
    with recorders(machine.folder, machine.broker.bootstrap, dsn) as (recorder,):
        for seconds in SECONDS:
            if not recorder.running():  # as the kubelet does; another recorder could have taken over
                recorder.start()
            machine.publish(400)
            with frozen(pid_of(part, machine, recorder)):
                time.sleep(seconds)
            machine.publish(100)
            machine.check(recorder)


@pytest.mark.parametrize("part", ["replay", *SERVICES])
def test_each_bar_of_a_replay_is_published_once(machine: Machine, tmp_path: Path, part: str) -> None:
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    exchange = f"frozen-{part}"
    insert_minutes(machine.dsn, exchange, SYMBOLS, 3_000)
    spec: Json = {"source": {"store": {"exchange": exchange, "symbols": SYMBOLS}}, "record": True}
    for seconds in SECONDS:
        replay = ReplayProcess(tmp_path, connections, spec)
        replay.begin(speed=60_000.0)  # three seconds
        with ended_afterwards(replay):
            replay.until(lambda r: r["published"] > 100)
            with frozen(pid_of(part, machine, replay)):
                time.sleep(seconds)
            while (code := replay.wait()) in (1, 75):  # a temporary failure, or the broker has ended its transaction
                replay.start()
        assert code == 0
        check_whole(committed(machine.broker.bootstrap, replay.topic), machine.dsn, exchange)


def test_a_strategy_has_its_time_though_its_pod_stands_still(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 1_000))
    for number, seconds in enumerate(SECONDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "mine.py").write_text(SLOW)
        pod = BacktestPod(
            connections,
            folder,
            spec(store_data(["A"]), module="mine:Slow") | {"sizer": None, "limits": {"barSeconds": 3}},
        )
        pod.start()
        assert pod.process is not None
        eventually(lambda pod=pod: "slow" in pod.log.read_text())  # type: ignore[misc]
        with frozen(pod.process.pid):
            time.sleep(seconds)
        assert pod.wait() == 0, pod.log.read_text()
        assert len(read_records(connections, pod.uid).equity) == 1_000
