"""The result of a sweep as a whole: a walk-forward's out-of-sample account, and the deflated Sharpe ratio."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from by_hand.curve import MINUTE
from pods.engine import CASH, T0, columns_of, random_bars
from tapedeck_backtest.bars.datetimes import same_session
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.sweep.outcome import (
    best_of_search,
    trial_counts,
    why_trials_are_not_ranked,
    why_windows_do_not_trade,
    window_tests,
)
from tapedeck_backtest.sweep.shard import ShardRunner, shard_plan
from tapedeck_backtest.sweep.windows import sweep_windows
from tapedeck_backtest.trials.out_of_sample import out_of_sample
from tapedeck_backtest.trials.trial import TrialRunner
from tapedeck_common.market import Bar
from tapedeck_common.records import RunFill, RunTrial
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.sweep import Sweep


def a_sweep(*params: dict[str, Any], **more: Any) -> Sweep:
    return Sweep.model_validate({"params": list(params), **more})


def moving_average_trades(
    bars: list[Bar], fast: int, slow: int, start: int, end: int, cash: float
) -> tuple[list[float], int]:
    """The account after each bar of [start, end), and the units that are held at the end.

    1 unit is bought over and sold under the slower average, at the next open.
    """
    close = pd.Series([bar.close for bar in bars[:end]])
    above = close.rolling(fast).mean() - close.rolling(slow).mean()
    held, values, order = 0, [], 0
    for i in range(start, end):
        cash, held, order = cash - order * bars[i].open, held + order, 0
        values.append(cash + held * bars[i].close)
        crossed_up, crossed_down = above[i - 1] <= 0 < above[i], above[i - 1] >= 0 > above[i]
        order = 1 if crossed_up and not held else -1 if crossed_down and held else 0
    return values, held


def walk_forward(**rolling: Any) -> Sweep:
    axes = {"name": "fast", "values": [3, 5]}, {"name": "slow", "values": [60]}
    return a_sweep(*axes, walkForward={"trainDays": 1, "testDays": 1, **rolling}, objective={"metric": "finalValue"})


@pytest.mark.parametrize(("module", "warmup"), [(False, None), (True, None), (False, 0), (False, 30)])
def test_walk_forward_is_one_account_over_warm_windows(module: bool, warmup: int | None) -> None:
    """Windows of a day of 15 minutes: 96 bars, of which a cold average of 60 leaves 36."""
    quarter = 15 * MINUTE
    bars = [replace(bar, interval="15m", ts=T0 + i * quarter) for i, bar in enumerate(random_bars("A", 5, 96 * 6))]
    config = walk_forward(**({} if warmup is None else {"warmupBars": warmup}))
    data = {"store": {"exchange": "x", "symbols": ["A"], "interval": "15m"}}
    chosen = {"module": "mine:Mine"} if module else {"builtin": "sma-cross"}
    spec = BacktestSpec.model_validate({"strategy": chosen, "data": data, "broker": {"cash": CASH}})
    base = BUILTINS["sma-cross"]
    strategy = type("Mine", (base,), {}) if module else base
    series = {"A": columns_of(bars)}
    trials = TrialRunner("r", spec, config, strategy, series, "15m", same_session(None, ["A"]), lambda: None)
    windows = sweep_windows(config, T0, T0 + len(bars) * quarter)
    shard = ShardRunner(trials, shard_plan(config, windows, 0), list, lambda _: None)
    shard.run()
    tests = [shard.completed[window.number, -1] for window in windows]
    cold = warmup is not None
    assert {trial.metrics["cold"] for trial in tests} == {float(cold)}
    records: list[Any] = []
    results = Results("r", CASH, quarter, records.append)
    counts = out_of_sample(trials, window_tests(windows, shard.completed.values()), results)
    results.flush()
    if cold:
        assert (counts.windows, counts.cold_windows) == (5, 5)
        return
    expected: list[float] = []
    held_at_end = 0
    for window, trial in zip(windows, tests, strict=True):
        fast = msgspec.json.decode(trial.params)["fast"]
        start, cash = (window.train_to - T0) // quarter, expected[-1] if expected else CASH
        part, held = moving_average_trades(bars, fast, 60, start, start + 96, cash)
        expected += part
        held_at_end += held > 0
        # alone, the window starts with the spec's cash
        alone, _ = moving_average_trades(bars, fast, 60, start, start + 96, CASH)
        assert trial.metrics["final_value"] == pytest.approx(alone[-1])
    assert list(results.value) == pytest.approx(expected)
    assert list(results.ts) == [bar.ts + quarter for bar in bars[96:]]
    assert (counts.windows, counts.cold_windows, counts.empty_windows) == (5, 0, 0)
    assert counts.open_windows == held_at_end > 1
    assert f"{held_at_end} ended with an open position" in str(counts)
    assert results.summary()["buy_and_hold_percent"] == pytest.approx((bars[-1].close / bars[96].close - 1) * 100)
    fills = [record for record in records if isinstance(record, RunFill)]
    assert [fill.seq for fill in fills] == list(range(len(fills)))


def test_a_window_without_a_tested_trial_does_not_trade() -> None:
    bars, config = random_bars("A", 5, 1_440 * 3), walk_forward()
    spec = BacktestSpec.model_validate(
        {"strategy": {"builtin": "sma-cross"}, "data": {"store": {"exchange": "x", "symbols": ["A"]}}}
    )
    trials = TrialRunner(
        "r", spec, config, BUILTINS["sma-cross"], {"A": columns_of(bars)}, "1m", same_session(None, ["A"]), lambda: None
    )
    windows = sweep_windows(config, T0, T0 + len(bars) * MINUTE)
    traded = trials.run_test(windows[1], {"fast": 3, "slow": 60})
    nothing = RunTrial("r", 0, -1, msgspec.Raw(b"{}"), 0, 0, {}, None, False, message="no feasible trial")
    results = Results("r", spec.broker.cash, MINUTE, None)
    counts = out_of_sample(trials, window_tests(windows, [nothing, traded]), results)
    assert (counts.windows, counts.empty_windows) == (2, 1)
    assert set(results.value[:1_440]) == {spec.broker.cash}
    assert results.value[-1] == traded.metrics["final_value"]
    assert len(results.ts) == 2 * 1_440


def test_windows_without_a_feasible_trial_are_explained() -> None:
    config = walk_forward()
    reason = "got 21 daily returns, expected at least 30"
    searched = [
        RunTrial("r", 0, n, msgspec.Raw(b"{}"), 0, 0, {"sharpe": None}, None, True, message=reason) for n in range(2)
    ]
    nothing = RunTrial("r", 0, -1, msgspec.Raw(b"{}"), 0, 0, {}, None, False, message="no feasible trial")
    traded = RunTrial("r", 1, -1, msgspec.Raw(b"{}"), 0, 0, {"final_value": 1.0}, 1.0, True)
    said = why_windows_do_not_trade(config, [*searched, nothing, traded])
    assert said is not None
    assert said.startswith("1 window did not trade: no trial is feasible: 2 of 2 have no ")
    assert reason in said
    assert why_windows_do_not_trade(config, [traded]) is None


def test_trials_that_are_not_ranked_are_counted_by_reason() -> None:
    config = a_sweep({"name": "fast", "values": [5]}, objective={"metric": "sharpe"})

    def a_trial(number: int, message: str = "", *, feasible: bool = False, **metrics: float | None) -> RunTrial:
        return RunTrial(
            "r", 0, number, msgspec.Raw(b'{"fast":5}'), 0, 0, metrics, metrics.get("sharpe"), feasible, message=message
        )

    trials = [
        a_trial(0, feasible=True, sharpe=1.0, lowest_value=9.0),
        *(a_trial(n, sharpe=9.0, lowest_value=-1.0) for n in (1, 2)),
        a_trial(3, "ValueError: odd"),
        a_trial(4, sharpe=None, lowest_value=9.0),
        a_trial(5, sharpe=0.5, lowest_value=9.0),
        RunTrial("r", 0, -1, msgspec.Raw(b"{}"), 0, 0, {}, None, False, message="no feasible trial"),
    ]
    assert trial_counts(trials) == {"bust_trials": 2.0, "failed_trials": 1.0}
    assert why_trials_are_not_ranked(config, trials) == (
        "not ranked of 6 trials: 2 bust (the account fell to 0 or below), 1 failed, 1 without sharpe, "
        "1 against the constraints"
    )
    assert why_trials_are_not_ranked(config, trials[:1]) is None


def test_deflated_sharpe_of_the_best_trial_of_a_search() -> None:
    ratios = np.random.default_rng(2).normal(0.5, 1.0, 50).tolist()
    trials = [
        RunTrial("r", 0, n, msgspec.Raw(b"{}"), 0, 0, {"sharpe": r, "sharpe_error": 0.9}, r, True)
        for n, r in enumerate(ratios)
    ]
    figures = best_of_search(a_sweep({"name": "fast", "values": [5]}), trials)
    assert figures["best_sharpe"] == max(ratios)
    normal, count = NormalDist(), len(ratios)
    chance = np.std(ratios, ddof=1) * (
        (1 - np.euler_gamma) * normal.inv_cdf(1 - 1 / count) + np.euler_gamma * normal.inv_cdf(1 - 1 / (count * np.e))
    )
    assert figures["deflated_sharpe"] == pytest.approx(normal.cdf((max(ratios) - chance) / 0.9))
    assert best_of_search(a_sweep({"name": "fast", "values": [5]}), []) == {}
