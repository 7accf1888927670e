"""A part that stands still for a while (SIGSTOP) and goes on: nothing is lost or doubled, and no hand is needed."""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from pydantic import SecretStr
from websockets.sync.client import connect

from pods.backtest import BacktestPod, read_records
from pods.channel_client import ChannelClient
from pods.feed import FeedPod
from pods.gateway import running_gateway
from pods.machine import Machine, frozen
from pods.recorder import LIVE, T0, RecorderProcess, publish, recorders
from pods.replay import (
    ReplayProcess,
    check_whole,
    committed,
    ended_afterwards,
    insert_minutes,
    played_to_the_end,
)
from pods.runs import random_walk, spec, store_data
from pods.services import as_role
from pods.store import insert_bars
from pods.topic import read_topic
from pods.transform import TransformProcess
from tapedeck_common.market import Trade
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, MARKET_POINTS, MARKET_TRADES
from tapedeck_common.wire import encode
from tapedeck_crds.json import Json
from waits import eventually

FULL = int(os.environ.get("TAPEDECK_FAULTS", "1")) >= 20
# Longer than the session of the recorder's group (6 s) and a transaction that others wait for (5 s), and shorter ones.
SECONDS = [60.0, *(random.Random(16).uniform(0.5, 15) for _ in range(19))] if FULL else [8.0]
SERVICES = ["broker", "database"] if FULL else []
IMPATIENCE = 2.0  # seconds without an answer after which a client gives up
ROWS = 150_000
GROWTH_BYTES = 32 * 1024**2
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]
SLOW = """
import time
import backtrader as bt
class Slow(bt.Strategy):
    def next(self):
        if len(self) == 500:
            print("slow", flush=True)
            for _ in range(40): time.sleep(0.1)
        if len(self) % 100 == 0: self.buy(size=1)
"""
pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1800 if FULL else 180)]


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
        replay.begin(speed=60_000.0, hold=True)  # three seconds
        with ended_afterwards(replay):
            replay.until(lambda r: r["published"] > 100)
            with frozen(pid_of(part, machine, replay)):
                time.sleep(seconds)
            code = played_to_the_end(replay)
        assert code == 0
        check_whole(committed(machine.broker.bootstrap, replay.topic), machine.dsn, exchange)


def test_each_trade_has_its_point(machine: Machine, tmp_path: Path) -> None:
    connections = Connections(kafka_bootstrap=machine.broker.bootstrap, store_dsn=SecretStr(machine.dsn))
    chosen = {"exchange": "x", "symbols": ["S*"], "channels": ["trades"]}
    every = {"name": "prices", "channel": "trades", "filter": {"above": 0}}
    transforms = TransformProcess(tmp_path, connections, "Feed", {**chosen, "transforms": [every]}, "frozen")
    transforms.start()
    try:
        for seconds in SECONDS:
            if not transforms.running():  # as the kubelet does
                transforms.start()
            machine.publish(200)
            assert transforms.process is not None
            with frozen(transforms.process.pid):
                machine.publish(100)
                time.sleep(seconds)
            eventually(lambda: point_times(machine) == trade_times(machine), 120, progress=lambda: point_times(machine))
    finally:
        transforms.kill()


def trade_times(machine: Machine) -> list[int]:
    return sorted({trade["ts"] for _, trade, _ in read_topic(machine.broker.bootstrap, MARKET_TRADES, "x")})


def point_times(machine: Machine) -> list[int]:
    return sorted(point["ts"] for _, point, _ in read_topic(machine.broker.bootstrap, MARKET_POINTS, "x"))


def test_each_row_of_a_file_is_published_once(machine: Machine, tmp_path: Path) -> None:
    rows = [f"{T0 + number * 60_000},1.5,2.5,0.5,2.0,{number}" for number in range(ROWS)]
    (tmp_path / "rows.csv").write_text("\n".join(("ts,open,high,low,close,volume", *rows)))
    for number, seconds in enumerate(SECONDS):
        exchange = f"file{number}"
        files = {"exchange": exchange, "sets": [{"symbol": "A/B", "path": "rows.csv"}], "time": {"unit": "ms"}}
        feed = FeedPod(machine.broker.bootstrap, tmp_path / exchange, tmp_path, {"source": {"files": files}})
        feed.start()
        assert feed.process is not None
        feed.wait_for(lambda feed=feed: feed.status()["bars"])  # type: ignore[misc]
        with frozen(feed.process.pid):
            time.sleep(seconds)
        assert feed.wait(120) == 0, feed.log_tail()
        found = [bar["ts"] for _, bar, _ in read_topic(machine.broker.bootstrap, MARKET_BARS, exchange)]
        assert sorted(found) == [T0 + minute * 60_000 for minute in range(ROWS)]


def last_accounted(client: ChannelClient) -> int:
    """The number of the last trade. Those that it does not have are told as missed, or a snapshot follows them."""
    last = -1
    for message in client.of("trades", "t"):
        numbers = [int(trade["id"]) for trade in message["trades"]]
        first = numbers[0] if message["snapshot"] and numbers else last + 1 + message["missed"]
        assert numbers == list(range(first, first + len(numbers)))
        last = numbers[-1] if numbers else last + message["missed"]
    return last


def test_clients_of_the_gateway_see_it_and_miss_nothing(
    connections: Connections, store: str, tmp_path: Path, exchange: str
) -> None:
    """One client waits, and gets all at once; one has given up meanwhile, connects again and resumes.

    The records that a stop holds up are more than a session waits with, and take more memory than the gateway may grow.
    """
    assert store
    published: list[int] = []

    def publish_trades(count: int) -> None:
        new = range(len(published), len(published) + count)
        trades = [Trade(exchange, "A/B", T0 + number, str(number), 1.0, 1.0, "buy") for number in new]
        market = [(MARKET_TRADES, encode(each), f"{exchange}:A/B", LIVE) for each in trades]
        publish(connections.kafka_bootstrap, market)
        published.extend(new)

    def has_all(client: ChannelClient) -> bool:
        return last_accounted(client) == published[-1]

    limits = json.dumps({"limits": {"stallSeconds": 1.5}})
    with running_gateway(tmp_path, as_role(connections, "tapedeck_reader"), limits) as gateway, ExitStack() as sockets:
        url, pid = f"ws://127.0.0.1:{gateway.port}/api/v1/ws", gateway.pid

        def connected(ping_seconds: float | None) -> ChannelClient:
            socket = connect(url, max_size=None, ping_interval=ping_seconds, ping_timeout=ping_seconds, close_timeout=1)
            return ChannelClient(sockets.enter_context(socket))

        publish_trades(10)
        patient, impatient = connected(None), connected(IMPATIENCE)
        for client in (patient, impatient):
            client.subscribe("t", "trades", symbol=f"{exchange}:A/B")
            client.until(lambda client=client: has_all(client))
        session = impatient.session
        grown: list[int] = []
        for seconds in SECONDS if FULL else [3.0, 3.0]:
            before = len(patient.received)
            with frozen(pid):
                publish_trades(5_000)
                time.sleep(seconds)
                impatient.thread.join(30)
                assert not impatient.thread.is_alive()
                with pytest.raises(TimeoutError):
                    urlopen(f"{gateway.url}/readyz", timeout=0.5)
            publish_trades(10)
            patient.until(lambda: has_all(patient))
            assert [m["seq"] for m in patient.received] == list(range(1, len(patient.received) + 1))
            lost, impatient = impatient, connected(IMPATIENCE)
            impatient.resume(session, lost.received[-1]["seq"])
            assert impatient.of("resumed")[0]["subscriptions"] == ["t"]
            impatient.until(lambda client=impatient: has_all(client))
            assert gateway.get("/readyz")[0] == 200
            grown.append(psutil.Process(pid).memory_info().rss)
            assert len(patient.received) > before
        assert patient.thread.is_alive()
        assert grown[-1] - grown[0] < GROWTH_BYTES


def test_a_strategy_has_its_time_though_its_pod_stands_still(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 1_000))
    for number, seconds in enumerate(SECONDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "mine.py").write_text(SLOW)
        pod = BacktestPod(
            connections,
            folder,
            spec(store_data(["A"]), module="mine:Slow") | {"sizer": None, "limits": {"barSeconds": 6}},
        )
        pod.start()
        assert pod.process is not None
        eventually(lambda pod=pod: "slow" in pod.log.read_text())  # type: ignore[misc]
        with frozen(pod.process.pid):
            time.sleep(seconds)
        assert pod.wait() == 0, pod.log.read_text()
        assert len(read_records(connections, pod.uid).equity) == 1_000
