"""A Backtest that asks for checks: a strategy that cheats does not get its results."""

from __future__ import annotations

from pathlib import Path

from integration.test_backtest_run import random_walk, spec, store_data
from integration.test_store_bars import insert
from pods.backtest import Pod, check
from tapedeck.settings import Connections

PEEKS = """
import backtrader as bt
class Peeks(bt.Strategy):
    def next(self):
        line = self.data.close
        if len(self) < len(line.array) and line.array[len(self)] > line[0]:
            self.buy(size=1)
"""


def test_a_strategy_that_looks_ahead_fails_with_its_bar(connections: Connections, tmp_path: Path) -> None:
    insert(connections.store_dsn.get_secret_value(), random_walk("A", 1, 1_000))
    honest = spec(store_data(["A"])) | {"checks": ["lookAhead", "startUp"]}
    cheat = spec(store_data(["A"]), module="mine:Peeks") | {"checks": ["lookAhead"]}
    pods = []
    for name, wanted in (("honest", honest), ("cheat", cheat)):
        pod = Pod(connections, tmp_path / name, wanted)
        pod.folder.mkdir()
        (pod.folder / "mine.py").write_text(PEEKS)
        pod.start()
        pods.append(pod)
    assert pods[0].wait() == 0, pods[0].log.read_text()
    assert len(check(connections, pods[0].uid).equity) == 1_000
    assert pods[1].wait() == 64, pods[1].log.read_text()
    report = pods[1].report()
    assert report["reason"] == "LookAhead"
    assert "2018-04-04T00:" in report["message"]
    assert "with all bars, no order where later ones are cut off" in report["message"]
    assert not check(connections, pods[1].uid).equity
