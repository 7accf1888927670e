"""Vectorised runs against the engine, bit by bit. Other tests compare the engine with stock Backtrader."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from by_hand.backtrader import MINUTE
from by_hand.samples import coinbase
from pods.engine import T0
from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.rolling import rolling_fsum, rolling_max, rolling_min
from tapedeck_backtest.engine import cerebro
from tapedeck_backtest.engine.analyzers import GuardedAnalyzer
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.vector import indicators
from tapedeck_backtest.vector.run import run_vectorised, vector_series
from tapedeck_common.records import ResultRecord, RunFill, RunTrade
from tapedeck_common.store.bars import Floats
from tapedeck_crds.backtest import BacktestSpec

EXAMPLES = 6 * int(os.environ.get("TAPEDECK_FAULTS", "3"))
NAMES = ["sma-cross", "ema-cross", "rsi", "bollinger", "donchian", "macd"]

period = st.integers(1, 40)
crossing = st.tuples(period, period).map(lambda pair: {"fast": min(pair), "slow": max(pair) + 1})
PARAMS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "sma-cross": crossing,
    "ema-cross": crossing,
    "rsi": st.fixed_dictionaries({"period": period, "lower": st.floats(5.0, 49.0), "upper": st.floats(51.0, 95.0)}),
    "bollinger": st.fixed_dictionaries({"period": st.integers(2, 40), "deviations": st.floats(0.2, 3.0)}),
    "donchian": st.fixed_dictionaries({"entry": period, "exit": period}),
    "macd": st.tuples(crossing, period).map(lambda pair: {**pair[0], "signal": pair[1]}),
}
percent = st.floats(0.0, 2.0)
brokers = st.fixed_dictionaries(
    {"cash": st.sampled_from([100.0, 9_999.99, 1e6]), "commissionPercent": percent, "leverage": st.floats(1.0, 5.0)},
    optional={
        "makerPercent": percent,
        "commissionFixed": st.floats(0.0, 60.0),
        "commissionPerUnit": st.floats(0.0, 0.5),
        "shorts": st.booleans(),
    },
)
slippages: st.SearchStrategy[dict[str, float]] = st.one_of(
    st.just({}),
    st.floats(0.0, 1.0).map(lambda share: {"slippagePercent": share}),
    st.floats(0.0, 1.0).map(lambda amount: {"slippageFixed": amount}),
)
sizers = st.one_of(
    st.none(),
    st.floats(0.0, 3.0).map(lambda size: {"fixed": size}),
    st.builds(lambda share, whole: {"percent": share, "whole": whole}, st.floats(0.0, 100.0), st.booleans()),
    st.builds(lambda share, whole: {"valuePercent": share, "whole": whole}, st.floats(0.0, 300.0), st.booleans()),
    st.builds(lambda amount, whole: {"amount": amount, "whole": whole}, st.floats(0.0, 9e3), st.booleans()),
)


def market(seed: int, count: int, digits: int | None, missing: float) -> BarArrays:
    """A random walk. With few digits, consecutive closes are sometimes equal, and averages meet."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.004, count)))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 0.001, count))
    if digits is not None:
        close, opened = np.round(close, digits), np.round(opened, digits)
    high, low = np.maximum(opened, close) + rng.random(count), np.minimum(opened, close) - rng.random(count)
    kept = rng.random(count) >= missing
    prices = (each[kept] for each in (opened, high, low, close, rng.random(count)))
    return BarArrays((T0 + MINUTE * np.arange(1, count + 1))[kept], *prices)


def spec_of(broker: dict[str, Any], sizer: dict[str, Any] | None) -> BacktestSpec:
    data = {"store": {"exchange": "x", "symbols": ["A"]}}
    chosen: dict[str, Any] = {"strategy": {"builtin": "rsi"}, "data": data, "broker": broker}
    return BacktestSpec.model_validate(chosen | ({"sizer": sizer} if sizer else {}))


def compare_both(name: str, params: dict[str, Any], spec: BacktestSpec, columns: BarArrays) -> int:
    """Compare all results of the vectorised run and the engine's. Returns the number of fills."""
    strategy = BUILTINS[name]
    emitted: list[list[ResultRecord]] = [[], []]
    vector_results, engine_results = (Results("r", spec.broker.cash, MINUTE, records.append) for records in emitted)
    series = vector_series(spec, strategy, {"A": columns})
    assert series is not None
    if not run_vectorised(spec, strategy, params, "A", series, vector_results):
        return 0
    engine = cerebro.batch_engine(spec, strategy, params, {"A": columns}, "1m", {})
    engine.addanalyzer(GuardedAnalyzer, results=engine_results)
    engine.run()
    for each in (vector_results, engine_results):
        each.flush()
    trades = [[record for record in records if isinstance(record, RunFill | RunTrade)] for records in emitted]
    assert repr(trades[0]) == repr(trades[1])
    assert (vector_results.ts, vector_results.value, vector_results.cash) == (
        engine_results.ts,
        engine_results.value,
        engine_results.cash,
    )
    assert vector_results.summary() == engine_results.summary()
    assert list(vector_results.positions()) == list(engine_results.positions())
    assert list(vector_results.orders()) == list(engine_results.orders())
    assert vector_results.trades_hash == engine_results.trades_hash
    return vector_results.fills


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_equals_the_engine(name: str, data: st.DataObject) -> None:
    columns = market(
        data.draw(st.integers(0, 10_000)),
        data.draw(st.integers(45, 400)),
        data.draw(st.sampled_from([None, 2, 1, 0])),
        data.draw(st.sampled_from([0.0, 0.3])),
    )
    broker = data.draw(brokers) | data.draw(slippages)
    compare_both(name, data.draw(PARAMS[name]), spec_of(broker, data.draw(sizers)), columns)


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_engine_over_many_bars(name: str) -> None:
    broker = {"cash": 10_000.0, "commissionPercent": 0.1, "slippagePercent": 0.01, "shorts": False}
    assert compare_both(name, {}, spec_of(broker, {"percent": 95.0}), market(7, 5_000, None, 0.01)) > 10


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_engine_over_the_sample(name: str) -> None:
    table = coinbase(Path(__file__).parents[2] / "examples" / "data" / "coinbase-minute")
    rows = sorted((ts, bar) for (symbol, ts), bar in table.items() if symbol == "BTC/USD")
    events = np.array([ts for ts, _ in rows]) + MINUTE
    prices = (np.array([bar[i] for _, bar in rows]) for i in range(5))
    assert (
        compare_both(name, {}, spec_of({"commissionPercent": 0.1}, {"valuePercent": 50.0}), BarArrays(events, *prices))
        > 20
    )


def test_too_few_bars_and_invalid_params_need_the_engine() -> None:
    spec, columns = spec_of({}, None), market(1, 60, None, 0.0)
    series = vector_series(spec, BUILTINS["macd"], {"A": columns})
    assert series is not None
    refused: list[tuple[str, dict[str, Any]]] = [
        ("sma-cross", {"fast": 9, "slow": 9}),
        ("rsi", {"lower": 80.0}),
        ("donchian", {"exit": 2.5}),
    ]
    for name, params in [("macd", {"slow": 90}), *refused]:
        assert not run_vectorised(spec, BUILTINS[name], params, "A", series, Results("r", 1.0, MINUTE, None))
    broken = BarArrays(**vars(columns) | {"close": np.where(np.arange(60) == 30, math.nan, columns.close)})
    assert vector_series(spec, BUILTINS["rsi"], {"A": broken}) is None
    assert vector_series(spec, BUILTINS["rsi"], {"A": columns, "B": columns}) is None
    for broker in ({"fill": "close"}, {"cheatOnOpen": True}):
        assert vector_series(spec_of(broker, None), BUILTINS["rsi"], {"A": columns}) is None


values = st.one_of(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60),
    st.lists(st.integers(0, 10_000_00).map(lambda cents: cents / 100), min_size=1, max_size=60),
    st.integers(0, 99).map(lambda seed: (np.random.default_rng(seed).random(5_000) * 100).tolist()),
)


@given(values=values, period=st.integers(1, 60))
def test_rolling_sums_and_extremes(values: list[float], period: int) -> None:
    period = min(period, len(values))
    line: Floats = np.array(values)
    windows = [values[i : i + period] for i in range(len(values) - period + 1)]
    assert rolling_fsum(line, period).tolist() == list(map(math.fsum, windows))
    assert rolling_max(line, period).tolist() == list(map(max, windows))
    assert rolling_min(line, period).tolist() == list(map(min, windows))


def test_rolling_sums_of_a_long_array() -> None:
    line: Floats = 100 + np.cumsum(np.random.default_rng(5).normal(0, 0.1, 140_000))
    values = line.tolist()
    assert rolling_fsum(line, 7).tolist() == [math.fsum(values[i : i + 7]) for i in range(len(values) - 6)]


def test_crossings_skip_equal_values() -> None:
    first, second = np.array([math.nan, 1, 2, 2, 3, 2, 2, 1]), np.array([0.5, 2, 2, 2, 2, 2, 2, 2])
    up, down = indicators.crossings(first, second)
    assert np.flatnonzero(up).tolist() == [4]
    assert np.flatnonzero(down).tolist() == [7]
