"""A seek of a real Replay during a Backtest: the strategy restarts with the bars after the seek."""

from __future__ import annotations

from pathlib import Path

from by_hand.backtrader import run_stock
from pods.backtest import MINUTE, BacktestPod, ReplayTopic, read_records
from pods.replay import ReplayProcess
from pods.runs import T0 as FIRST
from pods.runs import random_walk, spec
from pods.store import insert_bars
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common import wire
from tapedeck_common.settings import Connections
from waits import eventually

MINUTES = 2_000


def test_restart_trades_the_bars_after_the_seek(connections: Connections, tmp_path: Path) -> None:
    every = random_walk("A", 7, MINUTES)
    insert_bars(connections.store_dsn.get_secret_value(), every)
    replay = ReplayProcess(tmp_path, connections, {"source": {"store": {"exchange": "x", "symbols": ["A"]}}})
    data = {"replay": {"name": "test", "onSeek": "restart"}}
    pod = BacktestPod(connections, tmp_path / "pod", spec(data), replay_uid=replay.uid)
    seek_target = FIRST + 700 * MINUTE + 30_000
    try:
        pod.start()
        replay.begin(v0=FIRST, speed=30_000.0, until=FIRST + 400 * MINUTE)  # it waits there for the seek
        eventually(lambda: len(read_records(connections, pod.uid).equity) > 100)
        replay.anchor(2, v0=seek_target, speed=1_000_000.0, epoch=1, seek_id="there")
        assert replay.wait(60) == 0
        assert pod.wait(60) == 0, pod.log.read_text()
    finally:
        pod.kill()
        replay.kill()
    before, after = read_records(connections, pod.uid), read_records(connections, f"{pod.uid}@1.0")
    assert before.ended["once"]["state"] == "failed"
    assert "Sought" in before.ended["once"]["message"]
    assert [ts for ts, _, _ in before.equity.values()] == [FIRST + (i + 1) * MINUTE for i in range(len(before.equity))]
    rest = [bar for bar in every if bar.ts + MINUTE > seek_target]
    stock = run_stock(
        BUILTINS["sma-cross"], {"A": rest}, cash=10_000.0, commission_percent=0.1, percent=95.0, fast=5, slow=20
    )
    assert [ts for ts, _, _ in after.equity.values()] == [bar.ts + MINUTE for bar in rest]
    assert [value for _, value, _ in after.equity.values()] == [value for _, value in stock.equity]
    assert len(after.trades) == len(stock.trades) > 10
    assert after.ended["once"]["state"] == "complete"
    assert pod.report()["run_id"] == f"{pod.uid}@1.0"


# Exits the process in its second run.
EXITS = """
import os
import backtrader as bt
class Exits(bt.Strategy):
    instances = []
    def __init__(self):
        self.instances.append(self)
    def next(self):
        len(self.instances) == 2 and len(self) == 5 and os._exit(0)
"""


def test_strategy_that_exits_after_a_seek_fails_the_restarted_run(connections: Connections, tmp_path: Path) -> None:
    bars, seek_target = random_walk("A", 1, 20), wire.Epoch(1, 0)
    topic = ReplayTopic(connections, ["A"], rows={"A": len(bars)})
    topic.start()
    topic.transaction(bars[:10])
    topic.producer.begin_transaction()
    topic.control(wire.EpochStart("1.0", FIRST, "seek"), epoch=seek_target)
    for bar in bars:
        topic.producer.produce(topic.topic, wire.encode(bar), headers=wire.replay_headers(topic.uid, seek_target))
    topic.control(wire.Watermark("1.0", bars[-1].ts + MINUTE, None, 30), epoch=seek_target)
    topic.producer.commit_transaction(60)
    data = {"replay": {"name": "replay", "onSeek": "restart"}}
    (tmp_path / "mine.py").write_text(EXITS)
    pod = BacktestPod(connections, tmp_path, spec(data, module="mine:Exits"), replay_uid=topic.uid)
    assert pod.run() == 64, pod.log.read_text()
    before, after = (read_records(connections, run_id).ended["once"] for run_id in (pod.uid, f"{pod.uid}@1.0"))
    assert "Sought" in before["message"]
    assert after["state"] == "failed"
    assert after["message"].startswith("StrategyExited: the strategy ended the process (exit code 0)")
    assert (pod.report()["reason"], pod.report()["run_id"]) == ("StrategyExited", f"{pod.uid}@1.0")
