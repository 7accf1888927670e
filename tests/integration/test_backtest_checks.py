"""Bias checks of a Backtest: a strategy that looks ahead fails without results."""

from __future__ import annotations

from pathlib import Path

from pods.backtest import BacktestPod, read_records
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


def test_look_ahead_fails_the_run_and_names_the_bar(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 1_000))
    unbiased = spec(store_data(["A"])) | {"checks": ["lookAhead", "startUp"]}
    biased = spec(store_data(["A"]), module="mine:Peeks") | {"checks": ["lookAhead"]}
    pods = []
    for name, body in (("unbiased", unbiased), ("biased", biased)):
        pod = BacktestPod(connections, tmp_path / name, body)
        pod.folder.mkdir()
        (pod.folder / "mine.py").write_text(PEEKS)
        pod.start()
        pods.append(pod)
    assert pods[0].wait() == 0, pods[0].log.read_text()
    assert len(read_records(connections, pods[0].uid).equity) == 1_000
    assert pods[1].wait() == 64, pods[1].log.read_text()
    report = pods[1].report()
    assert report["reason"] == "LookAhead"
    assert "2018-04-04T00:" in report["message"]
    assert "with all bars, no order without later bars" in report["message"]
    assert not read_records(connections, pods[1].uid).equity


def test_check_command_stores_nothing(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 600))
    objects = Objects(tmp_path / "objects.db")
    objects.apply(secret(connections))
    count = len(objects.list())
    (tmp_path / "mine.py").write_text(PEEKS)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"mine.py": PEEKS}}
    specs = {
        "local-module": spec(store_data(["A"]), module="mine:Peeks"),
        "config-map": spec(store_data(["A"]), module="mine:Peeks", configMap="c"),
        "endless": spec(store_data(["A"]), module="mine:Loops") | {"limits": {"barSeconds": 1}},
        "smooth": spec(store_data(["A"]), builtin="ema-cross"),
        "unknown": spec(store_data(["A"]), builtin="rsi", params={"fast": 1}),
    }
    manifests = [{"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Backtest", "metadata": {"name": n}, "spec": s}
                 for n, s in specs.items()]  # fmt: skip
    given = [Document("here", tmp_path, content) for content in (config, *manifests)]
    reports = check_strategies(objects, given, "default")
    assert "while len(self) > 50: pass" in reports["backtest/endless"].message
    assert {name: report.reason for name, report in reports.items()} == {
        "backtest/local-module": "LookAhead", "backtest/config-map": "LookAhead", "backtest/smooth": "StartUp",
        "backtest/unknown": "BadParams", "backtest/endless": "TimeLimit",
    }  # fmt: skip
    assert len(objects.list()) == count
