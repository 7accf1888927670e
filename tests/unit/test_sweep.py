"""The trials of a sweep: their params, their shards, their windows, and the best of them."""

from __future__ import annotations

import inspect
import itertools
import math
from typing import Any

import backtrader as bt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from by_hand.backtrader import MINUTE, run_stock
from pods.engine import CASH, T0, columns_of, random_bars
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.run.progress import RunProgress
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.sweep import ranking, search_space
from tapedeck_backtest.sweep.search import search_for
from tapedeck_backtest.sweep.search_space import Params, grid_params
from tapedeck_backtest.sweep.shard import ShardRunner, shard_plan, total_trials
from tapedeck_backtest.sweep.windows import sweep_windows
from tapedeck_backtest.trials.trial import TrialRunner
from tapedeck_common.records import RunTrial
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.report import REPORT_MAX_BYTES
from tapedeck_crds.sweep import Sweep

DAY = 86_400_000
FAST = {"name": "fast", "from": 5, "to": 21, "step": 4}
LIMIT = {"name": "limit", "from": 0.1, "to": 0.35, "step": 0.1}
KIND = {"name": "kind", "texts": ["a", "b", "c"]}


def sweep(*params: dict[str, Any], **more: Any) -> Sweep:
    return Sweep.model_validate({"params": list(params), **more})


def trial(number: int, objective: float | None, params: Params | None = None, *, feasible: bool = True) -> RunTrial:
    return RunTrial("r", 0, number, msgspec.Raw(msgspec.json.encode(params or {})), 0, 0, {}, objective, feasible)


def test_grid_is_the_product_of_its_axes() -> None:
    config = sweep(FAST, LIMIT, KIND)
    product = itertools.product([5, 9, 13, 17, 21], [0.1, 0.2, 0.3], ["a", "b", "c"])
    result = [search_space.grid_params(config.params, n) for n in range(search_space.trials_per_window(config))]
    assert result == [{"fast": fast, "limit": pytest.approx(limit), "kind": kind} for fast, limit, kind in product]
    assert all(type(p["fast"]) is int for p in result)


def test_grid_that_is_too_large_is_rejected() -> None:
    axes = [{"name": f"p{i}", "values": list(range(50))} for i in range(3)]
    with pytest.raises(RunFailed, match="got 125000 combinations, expected at most 100000"):
        search_space.trials_per_window(sweep(*axes))


def test_random_params_follow_from_seed_and_number() -> None:
    axes = sweep(FAST, KIND, {"name": "x", "from": -1.0, "to": 1.0}, search="random", trials=10).params
    draws = [search_space.random_params(axes, 3, n) for n in range(3_000)]
    assert draws[:100] == [search_space.random_params(axes, 3, n) for n in range(100)]
    assert draws[:100] != [search_space.random_params(axes, 4, n) for n in range(100)]
    counts = {v: sum(d["fast"] == v for d in draws) for v in (5, 9, 13, 17, 21)}
    assert sum(counts.values()) == 3_000
    assert all(abs(n - 600) < 5 * (3_000 * 0.2 * 0.8) ** 0.5 for n in counts.values())  # five standard deviations
    x = [float(d["x"]) for d in draws]
    assert min(x) >= -1
    assert max(x) < 1
    assert abs(sum(x) / 3_000) < 5 * (1 / 3 / 3_000) ** 0.5


def test_tpe_learns_from_reported_trials() -> None:
    config = sweep(
        {"name": "x", "from": -5.0, "to": 5.0}, {"name": "n", "from": 1, "to": 9, "step": 2}, search="tpe", trials=50
    )
    search = search_for(config, 0)
    values = []
    for number in range(50):
        params = search.suggest(number)
        x, n = float(params["x"]), int(params["n"])
        assert -5 <= x <= 5
        assert n in (1, 3, 5, 7, 9)
        values.append(-((x - 2) ** 2) - abs(n - 7))
        search.report(trial(number, values[-1], params))
    assert sum(values[-15:]) / 15 > sum(values[:10]) / 10 + 2
    again = search_for(config, 0)
    assert again.suggest(0) == search_for(config, 0).suggest(0)


@given(
    shards=st.integers(1, 9), trials=st.integers(1, 60), days=st.integers(3, 90), train=st.integers(1, 30),
    test=st.integers(1, 30), rolling=st.booleans(),
)  # fmt: skip
def test_every_trial_belongs_to_exactly_one_shard(
    shards: int, trials: int, days: int, train: int, test: int, rolling: bool
) -> None:
    more: dict[str, Any] = {"walkForward": {"trainDays": train, "testDays": test}} if rolling else {}
    config = sweep(FAST, search="random", trials=trials, shards=shards, **more)
    if rolling and train >= days:
        with pytest.raises(RunFailed, match="expected less than the"):
            sweep_windows(config, 0, days * DAY)
        return
    windows = sweep_windows(config, 0, days * DAY)
    plans = [shard_plan(config, windows, shard) for shard in range(shards)]
    result = [(w.number, n) for d in plans for w in d.windows for n in d.numbers]
    assert sorted(result) == [(w, n) for w in range(len(windows)) for n in range(trials)]
    assert (
        sum(d.total for d in plans) == total_trials(config, windows) == len(result) + (len(windows) if rolling else 0)
    )


def test_windows_roll_by_the_length_of_a_test() -> None:
    windows = sweep_windows(sweep(FAST, walkForward={"trainDays": 10, "testDays": 4}), 0, 21 * DAY)
    assert [(w.train_from // DAY, w.train_to // DAY, w.test_to // DAY) for w in windows] == [
        (0, 10, 14), (4, 14, 18), (8, 18, 21),
    ]  # fmt: skip


def test_best_trials_are_feasible() -> None:
    config = sweep(
        FAST, objective={"metric": "returnPercent"},
        constraints=[{"metric": "trades", "min": 10}, {"metric": "maxDrawdownPercent", "max": 20}],
    )  # fmt: skip
    sound = {"return_percent": 5.0, "trades": 12.0, "max_drawdown_percent": 20.0}
    assert ranking.is_feasible(config, sound)
    wrong: list[tuple[str, float | None]] = [
        ("trades", 9.0), ("max_drawdown_percent", 20.1), ("return_percent", None), ("trades", math.nan),
    ]  # fmt: skip
    for metric, value in wrong:
        assert not ranking.is_feasible(config, {**sound, metric: value})
    result = [trial(0, 9.0, feasible=False), trial(1, 3.0), trial(2, 7.0), trial(3, None), trial(4, 7.0)]
    assert [t.trial for t in ranking.best_trials(config, result, 3)] == [2, 4, 1]
    least = sweep(FAST, objective={"metric": "maxDrawdownPercent", "direction": "minimize"})
    assert [t.trial for t in ranking.best_trials(least, result, 1)] == [1]


class BuysWhenWarm(bt.Strategy):  # type: ignore[misc]
    """Buys once the resampled feed has four bars."""

    params = (("size", 1),)

    def __init__(self) -> None:
        bt.ind.SMA(self.datas[1], period=4)

    def next(self) -> None:
        if not self.position:
            self.buy(size=self.p.size if self.p.size < 9 else float("nan"))


def test_trials_use_warm_up_history_before_their_window() -> None:
    bars, config = random_bars("A", 1, 600), sweep({"name": "size", "values": [1, 3, 9]})
    data = {"store": {"exchange": "x", "symbols": ["A"]}, "intervals": ["5m"], "warmupBars": 60}
    strategy = {"module": "mine:BuysWhenWarm"}
    spec = BacktestSpec.model_validate({"strategy": strategy, "data": data, "broker": {"cash": CASH}})
    trials = TrialRunner("r", spec, config, BuysWhenWarm, {"A": columns_of(bars)}, "1m", {}, lambda: None)
    for size in (1, 3):
        result = trials.run(0, 0, {"size": size}, T0 + 300 * MINUTE, T0 + 500 * MINUTE)
        assert result.metrics["final_value"] == pytest.approx(CASH + size * (bars[499].close - bars[301].open))
        assert result.metrics["buy_and_hold_percent"] == pytest.approx((bars[499].close / bars[300].close - 1) * 100)
        assert result.metrics["vectorised"] == 0.0
    failed = trials.run(0, 2, {"size": 9}, T0 + 300 * MINUTE, T0 + 500 * MINUTE)
    assert "buy nan of A" in failed.message
    assert not failed.feasible


class NeedsBothFeeds(bt.Strategy):  # type: ignore[misc]
    """Buys the first symbol at its first bar. Requires that the second feed exists, with bars or without."""

    params = (("size", 1),)

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        first, second, *_ = self.datas
        assert second._name == "B"
        if len(first) and not self.getposition(first):
            self.buy(first, size=self.p.size)


@pytest.mark.parametrize("intervals", [[], ["5m"]])
@pytest.mark.parametrize("warmup", [0, 20])
def test_symbol_without_bars_in_a_window_keeps_its_feed(warmup: int, intervals: list[str]) -> None:
    bars, gone = random_bars("A", 1, 600), [*random_bars("B", 2, 200), *random_bars("B", 3, 602, first=600)]
    data = {"store": {"exchange": "x", "symbols": ["A", "B"]}, "intervals": intervals, "warmupBars": warmup}
    strategy = {"module": "mine:NeedsBothFeeds"}
    spec = BacktestSpec.model_validate({"strategy": strategy, "data": data, "broker": {"cash": CASH}})
    series, config = {"A": columns_of(bars), "B": columns_of(gone)}, sweep({"name": "size", "values": [1]})
    trials = TrialRunner("r", spec, config, NeedsBothFeeds, series, "1m", {}, lambda: None)
    for start, bought in ((100, 101), (300, 301)):
        result = trials.run(0, 0, {"size": 1}, T0 + start * MINUTE, T0 + (start + 100) * MINUTE)
        assert result.message == ""
        value = CASH + bars[start + 99].close - bars[bought].open
        assert result.metrics["final_value"] == pytest.approx(value)
    nothing = trials.run(0, 0, {"size": 1}, T0 + 700 * MINUTE, T0 + 800 * MINUTE)
    assert (nothing.message, nothing.metrics["final_value"], nothing.metrics["trades"]) == ("", CASH, 0.0)


class Scaled(bt.Strategy):  # type: ignore[misc]
    params = (("dev", 2), ("trail", False))

    def next(self) -> None:
        if not self.position:
            self.buy(size=self.p.dev)
        elif self.p.trail and self.data.close[0] > self.position.price * (1 + self.p.trail):
            self.close()


def test_trials_over_halves_of_an_int_and_shares_of_a_bool() -> None:
    """A sweep in steps of 0.5 over the default 2, and of shares where the default is off."""
    data = {"store": {"exchange": "x", "symbols": ["A"]}}
    spec = BacktestSpec.model_validate({"strategy": {"module": "mine:Scaled"}, "data": data})
    config = sweep({"name": "dev", "from": 1, "to": 2, "step": 0.5}, {"name": "trail", "values": [0, 0.02]})
    bars = random_bars("A", 1, 400)
    trials = TrialRunner("r", spec, config, Scaled, {"A": columns_of(bars)}, "1m", {}, lambda: None)
    for number in range(6):
        params: dict[str, Any] = grid_params(config.params, number)
        result = trials.run(0, number, params, T0, T0 + 400 * MINUTE)
        assert result.message == ""
        outcome = run_stock(Scaled, {"A": bars}, cash=CASH, **params)
        assert result.metrics["final_value"] == outcome.final
        assert result.metrics["trades"] == len(outcome.trades)


class Odd(bt.Strategy):  # type: ignore[misc]
    params = (("n", 0),)

    def next(self) -> None:
        raise ArithmeticError("odd")


@pytest.mark.parametrize("strategy", [Odd, BUILTINS["sma-cross"]])
def test_failed_trial_reports_the_strategys_own_line(strategy: type[Any]) -> None:
    data = {"store": {"exchange": "x", "symbols": ["A"]}}
    spec = BacktestSpec.model_validate({"strategy": {"module": "mine:Odd"}, "data": data})
    params: Params = {"n": 1} if strategy is Odd else {"fast": 9, "slow": 9}
    trials = TrialRunner(
        "r", spec, sweep(FAST), strategy, {"A": columns_of(random_bars("A", 1, 100))}, "1m", {}, lambda: None
    )
    first, *_, last = trials.run(0, 0, params, T0, T0 + 100 * MINUTE).message.splitlines()
    assert first.startswith(f'File "{inspect.getfile(strategy)}", line ')
    assert last in ("ArithmeticError: odd", "ValueError: fast, slow: got 9, 9, expected 0 < fast < slow")


def test_best_trials_in_the_report_fit_a_termination_message() -> None:
    data = {"store": {"exchange": "x", "symbols": ["A"]}}
    spec = BacktestSpec.model_validate({"strategy": {"module": "mine:Odd"}, "data": data})
    config = sweep({"name": "kind", "texts": ["x" * 250] * 20}, keep=10)
    trials = TrialRunner("r", spec, config, Odd, {}, "1m", {}, lambda: None)
    shard = ShardRunner(trials, shard_plan(config, sweep_windows(config, 0, DAY), 0), list, lambda _: None)
    shard.completed = {(0, n): trial(n, float(n), {"kind": "x" * 250}) for n in range(20)}
    report = RunProgress("r" * 50, shard=shard).report()
    assert report.tried == 20
    assert [best.trial for best in report.best] == list(range(19, 19 - len(report.best), -1))
    assert 5 < len(report.best) < 10
    assert len(report.model_dump_json()) < REPORT_MAX_BYTES
