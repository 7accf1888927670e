"""A backtest as a real process with a real broker and database."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections import Counter
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from by_hand.backtrader import run_stock
from pods.backtest import MINUTE, BacktestPod, ReplayTopic, read_records
from pods.runs import T0, random_walk, spec, store_data
from pods.store import insert_bars
from tapedeck_backtest.__main__ import serve
from tapedeck_backtest.backtest_run import BacktestRun
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.supervisor.strategy_process import start_process
from tapedeck_common import wire
from tapedeck_common.market import Bar, order_key
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_deck.embedded.processes import wait_until
from waits import within


def test_batch_and_replay_equal_stock_backtrader(connections: Connections, tmp_path: Path) -> None:
    series = {"A": random_walk("A", 1, 3_000), "B": random_walk("B", 2, 3_000, missing=0.2)}
    every = sorted([bar for bars in series.values() for bar in bars], key=order_key)
    insert_bars(connections.store_dsn.get_secret_value(), every)
    replay = ReplayTopic(connections, ["A", "B"], rows=Counter(bar.symbol for bar in every), shards=2)
    replay.start()
    replay.bars(every)
    replay.end(every[-1].ts + MINUTE)
    stock = run_stock(
        BUILTINS["sma-cross"], series, cash=10_000.0, commission_percent=0.1, percent=95.0, fast=5, slow=20
    )
    stored = BacktestPod(connections, tmp_path / "store", spec(store_data(["A", "B"])))
    streamed = BacktestPod(
        connections, tmp_path / "stream", spec({"replay": {"name": "replay"}}), replay_uid=replay.uid
    )
    contents = []
    for pod in (stored, streamed):
        assert pod.run() == 0, pod.log.read_text()
        checked = read_records(connections, pod.uid)
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


def test_range_selects_bars_by_open_time(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 200))
    data = store_data(["A"], **{"from": "2018-04-04T00:30:00Z", "to": "2018-04-04T01:30:00Z"})
    pod = BacktestPod(connections, tmp_path, spec(data, builtin="buy-and-hold"))
    assert pod.run() == 0, pod.log.read_text()
    times = [ts for ts, _, _ in read_records(connections, pod.uid).equity.values()]
    assert (times[0], times[-1], len(times)) == (T0 + 31 * MINUTE, T0 + 90 * MINUTE, 60)


def test_strategy_from_a_users_module(connections: Connections, tmp_path: Path) -> None:
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
    pod = BacktestPod(connections, tmp_path, spec(store_data(["A"]), **chosen))
    assert pod.run() == 0, pod.log.read_text()
    checked = read_records(connections, pod.uid)
    assert [f["size"] for f in checked.fills.values()] == [2.0] * 4
    assert [f["ts"] for f in checked.fills.values()] == [T0 + (n + 1) * MINUTE for n in (20, 40, 60, 80)]
    assert checked.started["once"]["params"] == {"bars": 20, "size": 2}


def test_orders_at_the_open_with_observers_and_analyzers(connections: Connections, tmp_path: Path) -> None:
    bars = random_walk("A", 1, 100)
    insert_bars(connections.store_dsn.get_secret_value(), bars)
    (tmp_path / "mine.py").write_text(
        "import backtrader as bt\n"
        "class Opens(bt.Strategy):\n"
        "    def next_open(self):\n"
        "        drawdown = self.stats.drawdown.maxdrawdown[0] if len(self) else 0\n"
        "        if len(self.data) % 10 == 0:\n"
        "            self.close() if self.position else self.buy(reason=f'after {drawdown:g} %')\n"
    )
    chosen = {**spec(store_data(["A"]), module="mine:Opens"), "analyzers": ["TradeAnalyzer"], "observers": ["DrawDown"]}
    refused = BacktestPod(connections, tmp_path, chosen)
    assert refused.run() == 64
    assert (
        refused.report()["message"] == "broker.cheatOnOpen: got false, expected true: Opens has next_open and no next"
    )
    pod = BacktestPod(connections, tmp_path, chosen | {"broker": {"cheatOnOpen": True}})
    assert pod.run() == 0, pod.log.read_text()
    checked = read_records(connections, pod.uid)
    assert [(fill["ts"], fill["price"]) for fill in checked.fills.values()] == [
        (bar.ts + MINUTE, bar.open) for bar in bars[9::10]
    ]
    kept = checked.ended["once"]["analyses"]
    assert kept["analyzers"]["TradeAnalyzer"]["total"] == {"total": 5, "closed": 5, "open": 0}
    assert len(kept["observers"]["DrawDown"]["maxdrawdown"]) == len(bars)
    assert kept["observers"]["DrawDown"]["maxdrawdown"][-1][1] > 0


def test_ruined_account_is_reported(connections: Connections, tmp_path: Path) -> None:
    bars = random_walk("A", 1, 300)
    insert_bars(connections.store_dsn.get_secret_value(), bars)
    (tmp_path / "mine.py").write_text(
        "import backtrader as bt\n"
        "class Doubles(bt.Strategy):\n"
        "    def next(self):\n"
        "        if len(self) in (10, 300):\n"
        "            self.order_target_size(target=(1 if len(self) > 10 else self.p.side * 5_000))\n"
        "    params = (('side', 1),)\n"
    )
    side = -1 if max(bar.close for bar in bars[10:]) > bars[10].open + 2.5 else 1
    chosen = spec(store_data(["A"]), module="mine:Doubles", params={"side": side})
    pod = BacktestPod(connections, tmp_path, chosen | {"broker": {"leverage": 100}})
    assert pod.run() == 0, pod.log.read_text()
    report, end = pod.report(), read_records(connections, pod.uid).ended["once"]
    assert (report["state"], report["reason"], report["open_positions"], report["open_orders"]) == (
        "complete",
        "Bust",
        1,
        1,
    )
    assert report["lowest_value"] == end["metrics"]["lowest_value"] < 0
    assert report["message"] == end["message"]
    assert end["message"].startswith("Bust: the account's value fell to -")
    (position,), (order,) = end["positions"], end["orders"]
    assert position["size"] == side * 5_000
    assert position["unrealised"] == pytest.approx(side * 5_000 * (bars[-1].close - bars[10].open))
    assert (order["ts"], order["kind"]) == (bars[-1].ts + MINUTE, "Market")


BAD = [
    ({"module": "mine:Nothing"}, "BadStrategy", "it has Breaks"),
    ({"module": "nowhere.to:Find"}, "BadStrategy", "no module 'nowhere.to'"),
    ({"builtin": "sma-cross", "params": {"fats": 3}}, "BadParams", "fats: not a param of SmaCross; it has fast=10"),
    ({"builtin": "sma-cross", "params": {"fast": "3"}}, "BadParams", "got '3' (str), expected a number"),
    ({"module": "mine:Breaks"}, "StrategyError", "ZeroDivisionError"),
]


@pytest.mark.parametrize(("strategy", "reason", "expected"), BAD)
def test_invalid_strategy_fails_with_reason(
    connections: Connections, tmp_path: Path, strategy: dict[str, Any], reason: str, expected: str
) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 1, 100))
    (tmp_path / "mine.py").write_text(
        "import backtrader as bt\nclass Breaks(bt.Strategy):\n    def next(self):\n        1 / (len(self) - 50)\n"
    )
    pod = BacktestPod(connections, tmp_path, spec(store_data(["A"]), **strategy))
    assert pod.run() == 64
    report = pod.report()
    assert (report["state"], report["reason"]) == ("failed", reason)
    assert expected in report["message"]
    end = read_records(connections, pod.uid).ended["once"]
    assert end["state"] == "failed"
    assert expected in end["message"]


@pytest.mark.parametrize(
    ("symbols", "selection", "message"),
    [
        (["A", "C"], {}, "data.store.symbols: got C, expected a symbol of x with bars in the store, such as "),
        (
            ["DAYS"],
            {},
            "data.store.interval: got 1m, expected an interval of DAYS in the store, or one that consists of its bars: "
            "1d",
        ),
        (
            ["A"],
            {"from": "2020-04-04T00:00:00Z", "to": "2020-04-05T00:00:00Z"},
            "data.store.from, to: got 2020-04-04T00:00:00Z to 2020-04-05T00:00:00Z, where A has no bars of 1m",
        ),
    ],
)
def test_a_run_without_bars_says_what_the_store_has(
    connections: Connections, tmp_path: Path, symbols: list[str], selection: dict[str, str], message: str
) -> None:
    dsn = connections.store_dsn.get_secret_value()
    insert_bars(dsn, random_walk("A", 1, 100))
    insert_bars(dsn, [Bar("x", "DAYS", "1d", 1_522_800_000_000, 1.0, 1.0, 1.0, 1.0, 1.0)])
    pod = BacktestPod(connections, tmp_path, spec(store_data(symbols, **selection)))
    assert pod.run() == 64
    report = pod.report()
    assert report["reason"] == "NoBars"
    assert message in report["message"]


def test_replay_results_appear_within_seconds_and_a_seek_fails_the_run(
    connections: Connections, tmp_path: Path
) -> None:
    bars = random_walk("A", 1, 100)
    replay = ReplayTopic(connections, ["A"], rows={"A": len(bars)})
    pod = BacktestPod(connections, tmp_path, spec({"replay": {"name": "replay"}}), replay_uid=replay.uid)
    pod.start()
    try:
        assert wait_until(lambda: (tmp_path / "port").exists(), timeout=30)
        replay.start()
        replay.transaction(bars[:60])
        with within(5):
            assert wait_until(lambda: len(read_records(connections, pod.uid).equity) == 59, timeout=10)
        status = json.load(urllib.request.urlopen(f"http://127.0.0.1:{pod.port}/status", timeout=60))
        assert (status["state"], status["bars"], status["total"]) == ("running", 59, 100)
        scraped = urllib.request.urlopen(f"http://127.0.0.1:{pod.port}/metrics", timeout=60).read().decode()
        assert "tapedeck_backtest_bars_total 59.0" in scraped
        assert f"tapedeck_backtest_account_value {status['value']}" in scraped
        next_epoch = wire.Epoch(1, 0)
        replay.producer.begin_transaction()
        replay.control(wire.EpochStart("1.0", T0, "seek"), epoch=next_epoch)
        replay.producer.commit_transaction(60)
        assert pod.wait(30) == 64
    finally:
        pod.kill()
    assert pod.report()["reason"] == "Sought"
    assert read_records(connections, pod.uid).ended["once"]["state"] == "failed"


def test_sigterm_interrupts_the_run(connections: Connections, tmp_path: Path) -> None:
    replay = ReplayTopic(connections, ["A"])
    replay.start()
    pod = BacktestPod(connections, tmp_path, spec({"replay": {"name": "replay"}}), replay_uid=replay.uid)
    pod.start()
    try:
        assert wait_until(lambda: (tmp_path / "port").exists(), timeout=30)
        assert pod.process is not None
        pod.process.terminate()
        assert pod.wait(10) == 1
    finally:
        pod.kill()
    assert pod.report()["reason"] == "Interrupted"


@pytest.mark.parametrize("topic", ["none", "empty"])
def test_replay_that_does_not_start_in_time(connections: Connections, tmp_path: Path, topic: str) -> None:
    key = tmp_path / "run-key"
    key.write_text("a key of any run")
    uid = ReplayTopic(connections, ["A"]).uid if topic == "empty" else uuid.uuid4().hex
    run = BacktestRun(
        PodSettings(uid=uuid.uuid4().hex, replay_uid=uid, run_key_file=key),
        BacktestSpec.model_validate(spec({"replay": {"name": "replay"}})),
        connections,
        Event(),
        start_process(serve),
        start_timeout=1.0,
    )
    with pytest.raises(RunFailed) as failure:
        run.execute()
    assert failure.value.reason == run.report().reason == "NoStart"


def test_symbols_missing_in_the_replay(connections: Connections, tmp_path: Path) -> None:
    replay = ReplayTopic(connections, ["A", "B"])
    replay.start()
    data = {"replay": {"name": "replay", "symbols": ["B", "Z"]}}
    pod = BacktestPod(connections, tmp_path, spec(data), replay_uid=replay.uid)
    assert pod.run() == 64
    assert "data.replay.symbols: got Z, expected symbols of the Replay: A, B" in pod.report()["message"]


@pytest.mark.parametrize("broken", ["header", "value", "late"])
def test_malformed_record_is_reported_with_its_offset(connections: Connections, tmp_path: Path, broken: str) -> None:
    bars = random_walk("A", 1, 20)
    replay = ReplayTopic(connections, ["A"])
    replay.start()
    replay.transaction(bars)
    replay.producer.begin_transaction()
    if broken == "late":
        replay.producer.produce(
            replay.topic, wire.encode(bars[3]), headers=wire.replay_headers(replay.uid, wire.Epoch())
        )
    elif broken == "value":
        replay.producer.produce(replay.topic, b"{", headers=wire.replay_headers(replay.uid, wire.Epoch()))
    else:
        replay.producer.produce(replay.topic, wire.encode(bars[19]))
    replay.producer.commit_transaction(60)
    pod = BacktestPod(connections, tmp_path, spec({"replay": {"name": "replay"}}), replay_uid=replay.uid)
    assert pod.run() == 64
    report = pod.report()
    assert report["reason"] == "BadStream"
    assert f"{replay.topic} partition 0 offset 24" in report["message"]
