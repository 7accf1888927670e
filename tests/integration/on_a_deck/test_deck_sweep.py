"""A sweep on a running deck: pods follow parallelism, each trial is made once, the status has the best."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from by_hand.backtrader import run_stock
from decks.process import Deck, apply, eventually, phase, pods_of
from pods.replay import insert_minutes, stored
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common.market import Bar

FASTS, SLOWS = range(3, 9), range(20, 70, 10)
BARS, MIN_TRADES = 2_000, 200
# No trial ends before parallelism has been changed.
MODULE = """
import os, time
from tapedeck_backtest.strategies import BUILTINS
class Mine(BUILTINS['sma-cross']):
    def start(self):
        while os.path.exists(os.path.join(os.path.dirname(__file__), 'held.py')):
            time.sleep(0.1)
"""
pytestmark = pytest.mark.slow


def test_pods_follow_parallelism_and_each_trial_is_made_once(shared_deck: Deck, tmp_path: Path) -> None:
    home, facts, objects = shared_deck
    dsn = (home.migrate / "store_dsn").read_text().strip()
    insert_minutes(dsn, "swept", ["A/B"], BARS)
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "held.py").touch()
    axes = [{"name": "fast", "values": list(FASTS)}, {"name": "slow", "values": list(SLOWS)}]
    spec: dict[str, Any] = {
        "strategy": {"module": "mine:Mine"},
        "data": {"store": {"exchange": "swept", "symbols": ["A/B"]}},
        "broker": {"cash": 100_000.0},
        "sweep": {
            "params": axes, "shards": 4, "parallelism": 1, "keep": 3, "objective": {"metric": "finalValue"},
            "constraints": [{"metric": "trades", "min": MIN_TRADES}],
        },
    }  # fmt: skip
    apply(objects, "Backtest", "swept", spec, tmp_path)
    uid = objects.get("Backtest", "default", "swept")["metadata"]["uid"]

    def running(pods: int) -> bool:
        return len(pods_of(objects, uid)) == pods

    for at_once in (1, 3, 1, 4):
        objects.patch_spec("Backtest", "default", "swept", {"spec": {"sweep": {"parallelism": at_once}}})
        eventually(partial(running, at_once))
    (tmp_path / "held.py").unlink()
    eventually(lambda: phase(objects, "Backtest", "swept") == "Complete", 180)
    status = objects.get("Backtest", "default", "swept")["status"]
    grid = list(itertools.product(FASTS, SLOWS))
    assert status["progress"] == f"{len(grid)}/{len(grid)}"

    def stored_trials() -> list[Any]:
        query = "SELECT trial, objective, feasible, (metrics->>'trades')::float FROM run_trials WHERE run_id = %s"
        with psycopg.connect(facts["dsn"]) as connection:
            return connection.execute(query + " ORDER BY trial", (status["runId"],)).fetchall()

    rows = eventually(lambda: len(found := stored_trials()) == len(grid) and found)
    assert [trial for trial, *_ in rows] == list(range(len(grid)))
    assert {feasible for _, _, feasible, _ in rows} == {trades >= MIN_TRADES for *_, trades in rows} == {True, False}
    best = sorted((row for row in rows if row[2]), key=lambda row: (-row[1], row[0]))[:3]
    assert [(each["trial"], each["objective"]) for each in status["best"]] == [row[:2] for row in best]
    series = {"A/B": [Bar("swept", "A/B", "1m", ts, *prices) for ts, _, *prices in stored(dsn, "swept")]}
    for (fast, slow), (_, value, *_) in zip(grid[::11], rows[::11], strict=True):
        stock = run_stock(BUILTINS["sma-cross"], series, cash=100_000.0, fast=fast, slow=slow)
        assert value == stock.final
    assert [each["params"] for each in status["best"]] == [
        dict(zip(("fast", "slow"), grid[t], strict=True)) for t, *_ in best
    ]
