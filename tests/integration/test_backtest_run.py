"""A backtest as a real process on a real broker and database."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections import Counter
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from by_hand.backtrader import run_stock
from pods.backtest import MINUTE, Pod, Tape, check, result_values
from pods.runs import T0, random_walk, spec, store_data
from pods.store import insert_bars
from tapedeck_backtest.backtest_run import BacktestRun
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.protocol import SupervisorChannel
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common import wire
from tapedeck_common.market import order_key
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_deck.embedded.processes import wait_until


def test_store_and_stream_give_what_stock_gives(connections: Connections, tmp_path: Path) -> None:
    series = {"A": random_walk("A", 1, 3_000), "B": random_walk("B", 2, 3_000, missing=0.2)}
    every = sorted([bar for bars in series.values() for bar in bars], key=order_key)
    insert_bars(connections.store_dsn.get_secret_value(), every)
    tape = Tape(connections, ["A", "B"], rows=Counter(bar.symbol for bar in every), shards=2)
    tape.start()
    tape.bars(every)
    tape.end(every[-1].ts + MINUTE)
    stock = run_stock(
        BUILTINS["sma-cross"], series, cash=10_000.0, commission_percent=0.1, percent=95.0, fast=5, slow=20
    )
    stored = Pod(connections, tmp_path / "store", spec(store_data(["A", "B"])))
    streamed = Pod(connections, tmp_path / "stream", spec({"replay": {"name": "tape"}}), replay_uid=tape.uid)
    contents = []
    for pod in (stored, streamed):
        assert pod.run() == 0, pod.log.read_text()
        checked = check(connections, pod.uid)
        fills = [(f["symbol"], f["size"] if f["side"] == "buy" else -f["size"], f["price"])
                 for f in checked.fills.values()]  # fmt: skip
        assert fills == [(symbol, size, price) for symbol, _, size, price in stock.fills]
        assert [(t["symbol"], t["entry_price"], t["pnl"], t["pnl_net"]) for t in checked.trades.values()] == [
            (symbol, price, pnl, net) for symbol, _, _, price, pnl, net in stock.trades
        ]
        assert [value for _, value, _ in checked.equity.values()] == [value for _, value in stock.equity]
        end, report = checked.ended["once"], pod.report()
        assert end["state"] == report["state"] == "complete"
        assert end["bars"] == report["bars"] == report["total"] == len(every)
        assert end["metrics"]["final_value"] == report["value"] == stock.final
        assert report["trades"] == len(stock.trades) > 20
        contents.append((checked.fills and end["trades_hash"], end["metrics"], checked.equity))
    assert contents[0] == contents[1]


def test_range_selects_by_open(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 200))
    data = store_data(["A"], **{"from": "2018-04-04T00:30:00Z", "to": "2018-04-04T01:30:00Z"})
    pod = Pod(connections, tmp_path, spec(data, builtin="buy-and-hold"))
    assert pod.run() == 0, pod.log.read_text()
    times = [ts for ts, _, _ in check(connections, pod.uid).equity.values()]
    assert (times[0], times[-1], len(times)) == (T0 + 31 * MINUTE, T0 + 90 * MINUTE, 60)


def test_module_of_the_user(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 100))
    (tmp_path / "mine.py").write_text(
        "import backtrader as bt\n"
        "class Every(bt.Strategy):\n"
        "    params = (('bars', 10), ('size', 1.0))\n"
        "    def next(self):\n"
        "        if len(self) % self.p.bars == 0:\n"
        "            self.close() if self.position else self.buy(size=self.p.size)\n"
    )
    chosen = {"module": "mine:Every", "params": {"bars": 20, "size": 2}}
    pod = Pod(connections, tmp_path, spec(store_data(["A"]), **chosen))
    assert pod.run() == 0, pod.log.read_text()
    checked = check(connections, pod.uid)
    assert [f["size"] for f in checked.fills.values()] == [2.0] * 4
    assert [f["ts"] for f in checked.fills.values()] == [T0 + (n + 1) * MINUTE for n in (20, 40, 60, 80)]
    assert checked.started["once"]["params"] == {"bars": 20, "size": 2}


BAD = [
    ({"module": "mine:Nothing"}, "BadStrategy", "it has Breaks"),
    ({"module": "nowhere.to:Find"}, "BadStrategy", "no module 'nowhere.to'"),
    ({"builtin": "sma-cross", "params": {"fats": 3}}, "BadParams", "fats: not a param of SmaCross; it has fast=10"),
    ({"builtin": "sma-cross", "params": {"fast": "3"}}, "BadParams", "got '3' (str), expected int"),
    ({"module": "mine:Breaks"}, "StrategyError", "ZeroDivisionError"),
]


@pytest.mark.parametrize(("strategy", "reason", "words"), BAD)
def test_what_cannot_run_says_why(
    connections: Connections, tmp_path: Path, strategy: dict[str, Any], reason: str, words: str
) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 100))
    (tmp_path / "mine.py").write_text(
        "import backtrader as bt\nclass Breaks(bt.Strategy):\n    def next(self):\n        1 / (len(self) - 50)\n"
    )
    pod = Pod(connections, tmp_path, spec(store_data(["A"]), **strategy))
    assert pod.run() == 64
    report = pod.report()
    assert (report["state"], report["reason"]) == ("failed", reason)
    assert words in report["message"]
    end = check(connections, pod.uid).ended["once"]
    assert end["state"] == "failed"
    assert words in end["message"]


def test_no_bars_names_symbol_and_range(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 100))
    data = store_data(["A", "C"], **{"from": "2018-04-04T00:00:00Z", "to": "2018-04-05T00:00:00Z"})
    pod = Pod(connections, tmp_path, spec(data))
    assert pod.run() == 64
    report = pod.report()
    assert report["reason"] == "NoBars"
    for word in (" C ", "2018-04-04T00:00:00Z", "2018-04-05T00:00:00Z"):
        assert word in report["message"]


def test_stream_shows_within_seconds_and_ends_on_a_seek(connections: Connections, tmp_path: Path) -> None:
    bars = random_walk("A", 1, 100)
    tape = Tape(connections, ["A"], rows={"A": len(bars)})
    pod = Pod(connections, tmp_path, spec({"replay": {"name": "tape"}}), replay_uid=tape.uid)
    pod.start()
    try:
        assert wait_until(lambda: (tmp_path / "port").exists(), timeout=10)
        tape.start()
        tape.transaction(bars[:60])
        committed = time.time() * 1000
        assert wait_until(lambda: len(check(connections, pod.uid).equity) == 59, timeout=10)
        assert max(sent for sent, _ in result_values(connections, pod.uid)) < committed + 5_000
        status = json.load(urllib.request.urlopen(f"http://127.0.0.1:{pod.port}/status", timeout=60))
        assert (status["state"], status["bars"], status["total"]) == ("running", 59, 100)
        scraped = urllib.request.urlopen(f"http://127.0.0.1:{pod.port}/metrics", timeout=60).read().decode()
        assert "tapedeck_backtest_bars_total 59.0" in scraped
        assert f"tapedeck_backtest_value {status['value']}" in scraped
        sought = wire.Epoch(1, 0)
        tape.producer.begin_transaction()
        tape.control(wire.EpochStart("1.0", T0, "seek"), epoch=sought)
        tape.producer.commit_transaction(30)
        assert pod.wait(10) == 64
    finally:
        pod.kill()
    assert pod.report()["reason"] == "Sought"
    assert check(connections, pod.uid).ended["once"]["state"] == "failed"


def test_sigterm_ends_it_soon(connections: Connections, tmp_path: Path) -> None:
    tape = Tape(connections, ["A"])
    tape.start()
    pod = Pod(connections, tmp_path, spec({"replay": {"name": "tape"}}), replay_uid=tape.uid)
    pod.start()
    try:
        assert wait_until(lambda: (tmp_path / "port").exists(), timeout=10)
        assert pod.process is not None
        pod.process.terminate()
        assert pod.wait(3) == 1
    finally:
        pod.kill()
    assert pod.report()["reason"] == "Interrupted"


@pytest.mark.parametrize("topic", ["none", "empty"])
def test_no_start_in_time(connections: Connections, topic: str) -> None:
    uid = Tape(connections, ["A"]).uid if topic == "empty" else uuid.uuid4().hex
    run = BacktestRun(
        PodSettings(uid=uuid.uuid4().hex, replay_uid=uid),
        BacktestSpec.model_validate(spec({"replay": {"name": "tape"}})),
        connections,
        Event(),
        SupervisorChannel(),
        start_timeout=1.0,
    )
    with pytest.raises(RunFailed) as failure:
        run.execute()
    assert failure.value.reason == run.report().reason == "NoStart"


def test_symbols_that_the_replay_does_not_have(connections: Connections, tmp_path: Path) -> None:
    tape = Tape(connections, ["A", "B"])
    tape.start()
    data = {"replay": {"name": "tape", "symbols": ["B", "Z"]}}
    pod = Pod(connections, tmp_path, spec(data), replay_uid=tape.uid)
    assert pod.run() == 64
    assert "data.replay.symbols: got Z, expected symbols of the Replay: A, B" in pod.report()["message"]


@pytest.mark.parametrize("broken", ["header", "value", "late"])
def test_a_broken_stream_is_named(connections: Connections, tmp_path: Path, broken: str) -> None:
    bars = random_walk("A", 1, 20)
    tape = Tape(connections, ["A"])
    tape.start()
    tape.transaction(bars)
    tape.producer.begin_transaction()
    if broken == "late":
        tape.producer.produce(tape.topic, wire.encode(bars[3]), headers=wire.replay_headers(tape.uid, wire.Epoch()))
    elif broken == "value":
        tape.producer.produce(tape.topic, b"{", headers=wire.replay_headers(tape.uid, wire.Epoch()))
    else:
        tape.producer.produce(tape.topic, wire.encode(bars[19]))
    tape.producer.commit_transaction(30)
    pod = Pod(connections, tmp_path, spec({"replay": {"name": "tape"}}), replay_uid=tape.uid)
    assert pod.run() == 64
    report = pod.report()
    assert report["reason"] == "BadStream"
    assert f"{tape.topic} partition 0 offset 24" in report["message"]
