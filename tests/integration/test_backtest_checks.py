"""A Backtest that asks for checks: a strategy that cheats does not get its results."""

from __future__ import annotations

from pathlib import Path

from pods.backtest import Pod, check
from pods.runs import random_walk, secret, spec, store_data
from pods.store import insert_bars
from tapedeck_common.settings import Connections
from tapedeck_deck.cli.strategies import check_strategies
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.objects import Objects

PEEKS = """
import backtrader as bt
class Peeks(bt.Strategy):
    def next(self):
        line = self.data.close
        if len(self) < len(line.array) and line.array[len(self)] > line[0]:
            self.buy(size=1)
class Loops(bt.Strategy):
    def next(self):
        while len(self) > 50: pass
"""


def test_a_strategy_that_looks_ahead_fails_with_its_bar(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 1_000))
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
    assert "with all bars, no order without later bars" in report["message"]
    assert not check(connections, pods[1].uid).equity


def test_the_command_checks_without_keeping_anything(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 600))
    objects = Objects(tmp_path / "objects.db")
    objects.apply(secret(connections))
    kept = len(objects.list())
    (tmp_path / "mine.py").write_text(PEEKS)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"mine.py": PEEKS}}
    wanted = {
        "beside": spec(store_data(["A"]), module="mine:Peeks"),
        "brought": spec(store_data(["A"]), module="mine:Peeks", configMap="c"),
        "endless": spec(store_data(["A"]), module="mine:Loops") | {"limits": {"barSeconds": 1}},
        "smooth": spec(store_data(["A"]), builtin="ema-cross"),
        "unknown": spec(store_data(["A"]), builtin="rsi", params={"fast": 1}),
    }
    manifests = [{"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Backtest", "metadata": {"name": n}, "spec": s}
                 for n, s in wanted.items()]  # fmt: skip
    given = [Document("here", tmp_path, content) for content in (config, *manifests)]
    reports = check_strategies(objects, given, "default")
    assert "while len(self) > 50: pass" in reports["backtest/endless"].message
    assert {name: report.reason for name, report in reports.items()} == {
        "backtest/beside": "LookAhead", "backtest/brought": "LookAhead", "backtest/smooth": "StartUp",
        "backtest/unknown": "BadParams", "backtest/endless": "TimeLimit",
    }  # fmt: skip
    assert len(objects.list()) == kept
