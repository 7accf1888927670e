"""A sweep over several pods: each trial is stored once despite kills, and equals stock Backtrader."""

from __future__ import annotations

import itertools
import math
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from by_hand.backtrader import run_stock
from pods.backtest import MINUTE, BacktestPod, result_values
from pods.recorder import RecorderProcess, eventually
from pods.runs import BROKER, T0, random_walk, store_data
from pods.store import insert_bars
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections

KILLS = int(os.environ.get("TAPEDECK_FAULTS", "3"))
FULL = KILLS >= 20  # a thousand trials, and a kill every ten seconds until they are complete
SHARDS = 4 if FULL else 3
AXES: list[dict[str, Any]] = [
    {"name": "fast", "from": 3, "to": 12, "step": 3},
    {"name": "slow", "values": [15, 20, 30, 45, 60]},
]
FASTS, SLOWS = (range(3, 43), range(44, 94, 2)) if FULL else (range(3, 13, 3), range(15, 65, 10))
MIN_TRADES = 50  # constraint for a trial to be feasible
GRID = list(itertools.product(FASTS, SLOWS))
# Run by the engine like any user's strategy, so that a trial takes long enough to be killed.
MODULE = "from tapedeck_backtest.strategies import BUILTINS\nclass Mine(BUILTINS['sma-cross']): pass\n"


def sweep_spec(**sweep: Any) -> dict[str, Any]:
    return {
        "strategy": {"builtin": "sma-cross"}, "data": store_data(["A"]), "broker": BROKER,
        "sizer": {"percent": 95.0}, "sweep": {"params": AXES, "objective": {"metric": "finalValue"}, **sweep},
    }  # fmt: skip


def stock_value(bars: Sequence[Bar], fast: int, slow: int) -> float:
    series = {"A": list(bars)}
    stock = run_stock(
        BUILTINS["sma-cross"], series, cash=10_000.0, commission_percent=0.1, percent=95.0, fast=fast, slow=slow
    )
    return float(stock.final)


def stock_value_after(history: Sequence[Bar], bars: Sequence[Bar], fast: int, slow: int) -> float:
    """Stock Backtrader over both, with orders from the first of ``bars`` on."""

    class Later(BUILTINS["sma-cross"]):  # type: ignore[misc, valid-type]
        def next(self) -> None:
            if len(self) > len(history):
                super().next()

    series = {"A": [*history, *bars]}
    stock = run_stock(Later, series, cash=10_000.0, commission_percent=0.1, percent=95.0, fast=fast, slow=slow)
    return float(stock.final)


def trials_of(dsn: str, run_id: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT win, trial, (params->>'fast')::int, (params->>'slow')::int, objective, "
            "(metrics->>'trades')::float8, feasible "
            "FROM run_trials WHERE run_id = %s ORDER BY win, trial",
            (run_id,),
        ).fetchall()


def state_of(dsn: str, run_id: str) -> tuple[Any, ...] | None:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT state, trials FROM runs WHERE run_id = %s", (run_id,)).fetchone()


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(120 + 40 * KILLS)
def test_each_trial_is_stored_once_despite_kills(connections: Connections, tmp_path: Path) -> None:
    dsn, bars, rng = connections.store_dsn.get_secret_value(), random_walk("A", 3, 3_000), random.Random(11)
    insert_bars(dsn, bars)
    recorder = RecorderProcess(tmp_path, connections.kafka_bootstrap, dsn)
    recorder.start()
    try:
        axes = [{"name": "fast", "values": list(FASTS)}, {"name": "slow", "values": list(SLOWS)}]
        constraints = [{"metric": "trades", "min": MIN_TRADES}]
        body = sweep_spec(shards=SHARDS, params=axes, constraints=constraints) | {"strategy": {"module": "mine:Mine"}}
        first = BacktestPod(connections, tmp_path / "0", body)
        pods = [first] + [
            BacktestPod(connections, tmp_path / str(i), first.spec, uid=first.uid, shard=i) for i in range(1, SHARDS)
        ]
        for pod in pods:
            pod.folder.mkdir()
            (pod.folder / "mine.py").write_text(MODULE)
            pod.start()
        for _ in range(KILLS):
            time.sleep(10 if FULL else rng.uniform(0.3, 1.5))
            alive = [pod for pod in pods if pod.process is not None and pod.process.poll() is None]
            if FULL and not alive:
                break
            victim = rng.choice(alive if FULL else pods)
            if victim in alive:
                victim.kill()
            victim.start()  # a finished pod as well: it has nothing to do
        for pod in pods:
            assert pod.wait(600 if FULL else 120) == 0, pod.log.read_text()
        eventually(lambda: len(trials_of(dsn, first.uid)) == len(GRID))
        assert eventually(lambda: state_of(dsn, first.uid) == ("complete", len(GRID)))
    finally:
        recorder.stop()
    with psycopg.connect(dsn) as connection:
        ended = connection.execute("SELECT metrics FROM runs WHERE run_id = %s", (first.uid,)).fetchall()
    of_best = {"best_sharpe", "best_sharpe_error", "deflated_sharpe", "trials_with_sharpe"}
    assert set(ended[0][0]) == of_best | {"bust_trials", "failed_trials"}
    rows = trials_of(dsn, first.uid)
    assert [(fast, slow) for _, _, fast, slow, *_ in rows] == GRID
    values = {(fast, slow): objective for _, _, fast, slow, objective, *_ in rows}
    for fast, slow in GRID[:: len(GRID) // 5]:
        assert values[fast, slow] == stock_value(bars, fast, slow)
    assert {trades >= MIN_TRADES for *_, trades, _ in rows} == {True, False}
    assert all(feasible == (trades >= MIN_TRADES) for *_, trades, feasible in rows)
    best = max((row for row in rows if row[6]), key=lambda row: row[4])
    reports = [pod.report() for pod in pods]
    assert sum(report["tried"] for report in reports) == len(GRID)
    assert {report["trials"] for report in reports} == {len(GRID)}
    assert max(t["objective"] for report in reports for t in report["best"]) == best[4]
    published: dict[int, Any] = {}
    for _, value in result_values(connections, first.uid):
        if value["type"] == "trial":
            assert published.setdefault(value["trial"], value) == value, "published twice with different content"


def test_walk_forward_trades_the_best_trial_of_each_window(connections: Connections, tmp_path: Path) -> None:
    dsn, bars = connections.store_dsn.get_secret_value(), random_walk("A", 4, 4 * 1440)
    insert_bars(dsn, bars)
    rolling = {"trainDays": 2, "testDays": 1}
    pod = BacktestPod(
        connections, tmp_path, sweep_spec(walkForward=rolling, params=[AXES[0], AXES[1] | {"values": [15, 40]}])
    )
    assert pod.run() == 0, pod.log.read_text()
    values = [value for _, value in result_values(connections, pod.uid)]
    trials = [value for value in values if value["type"] == "trial"]
    assert len(trials) == 2 * (4 * 2 + 1)
    for window in (0, 1):
        mine = {v["trial"]: v for v in trials if v["window"] == window}
        best = max((mine[n] for n in range(8)), key=lambda v: v["objective"])
        tested = mine[-1]
        assert tested["params"] == best["params"]
        start, end = T0 + (window + 2) * 1440 * MINUTE, T0 + (window + 3) * 1440 * MINUTE
        assert (tested["start"], tested["end"]) == (start, end)
        part, before = [bar for bar in bars if start <= bar.ts < end], [bar for bar in bars if bar.ts < start]
        fast, slow = tested["params"]["fast"], tested["params"]["slow"]
        assert tested["objective"] == stock_value_after(before[-slow:], part, fast, slow)
        assert (tested["metrics"]["warmup_bars"], tested["metrics"]["cold"]) == (slow, 0)
    report, ended = pod.report(), values[-1]
    assert [t["window"] for t in report["best"]] == [0, 1]
    growth = math.prod(trial["objective"] / 10_000 for trial in trials if trial["trial"] == -1)
    assert ended["metrics"]["final_value"] == report["value"] == pytest.approx(10_000 * growth)
    assert [report[name] for name in ("windows", "cold_windows", "empty_windows")] == [2, 0, 0]
    assert ended["state"] == "complete"
    assert ended["message"].startswith("2 windows: 0 cold, 0 without a fill")
    curve = [
        (ts, value) for v in values if v["type"] == "equity" for ts, value in zip(v["ts"], v["value"], strict=True)
    ]
    assert [ts for ts, _ in curve] == [bar.ts + MINUTE for bar in bars[2 * 1440 :]]
    assert curve[-1][1] == report["value"]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"params": [{"name": "fats", "values": [1]}]}, "sweep.params.fats: not a param of SmaCross"),
        ({"params": [{"name": "fast", "texts": ["x"]}]}, "sweep.params.fast: got 'x' (str), expected a number"),
        ({"walkForward": {"trainDays": 9, "testDays": 1}}, "sweep.walkForward.trainDays: got 9, expected less than"),
    ],
)
def test_invalid_sweep_fails_with_message(
    connections: Connections, tmp_path: Path, sweep: dict[str, Any], message: str
) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 5, 300))
    pod = BacktestPod(connections, tmp_path, sweep_spec(**sweep))
    assert pod.run() == 64
    assert message in pod.report()["message"]


def test_failed_trial_is_a_result(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 5, 300))
    (tmp_path / "mine.py").write_text(
        "import backtrader as bt\n"
        "class Odd(bt.Strategy):\n"
        "    params = (('n', 0),)\n"
        "    def next(self):\n"
        "        if self.p.n % 2 and len(self) == 200:\n"
        "            raise ArithmeticError('odd')\n"
        "        while self.p.n == 4 and len(self) == 200: pass\n"
        "        if self.p.n == 8: bytearray(2_000_000_000)\n"
    )
    body = sweep_spec(params=[{"name": "n", "values": [0, 1, 2, 3, 4, 6, 8, 10]}])
    body |= {"strategy": {"module": "mine:Odd"}, "limits": {"barSeconds": 8}}  # a busy machine may stop the others, too
    body |= {"resources": {"limits": {"memory": "700Mi"}}}
    pod = BacktestPod(connections, tmp_path, body)
    assert pod.run() == 0, pod.log.read_text()
    trials = {v["trial"]: v for _, v in result_values(connections, pod.uid) if v["type"] == "trial"}
    assert [trials[n]["objective"] for n in (0, 2, 5, 7)] == [10_000.0] * 4
    assert [trials[n]["objective"] for n in (1, 3, 4, 6)] == [None] * 4
    assert "ArithmeticError: odd" in trials[1]["message"]
    assert not trials[1]["feasible"]
    assert trials[4]["message"].startswith(
        "limits.barSeconds: the strategy worked on one bar for more than 8 s, here:\nFile "
    )
    assert "while self.p.n == 4" in trials[4]["message"]
    assert "bytearray(2_000_000_000)" in trials[6]["message"]
    assert trials[6]["message"].endswith("MemoryError")
