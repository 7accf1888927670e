"""The engine's two loops against stock Backtrader over the same bars, trade by trade."""

from __future__ import annotations

import csv
import io
import random
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from by_hand.backtrader import MINUTE, Outcome, run_stock
from tapedeck.market import Bar
from tapedeck.records import ResultRecord, RunEquity, RunFill, RunTrade
from tapedeck_backtest import engine
from tapedeck_backtest.feeds import Columns
from tapedeck_backtest.results import Collector, Results
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.backtest import BacktestSpec

T0 = 1_522_800_000_000


class Restless(bt.Strategy):  # type: ignore[misc]
    """Everything at once: limits, stops, brackets, shorts, reversals, several trade ids, recursive indicators."""

    params = (("period", 5),)

    def __init__(self) -> None:
        self.averages = [bt.ind.EMA(data, period=self.p.period) for data in self.datas]
        self.ranges = [bt.ind.ATR(data, period=self.p.period) for data in self.datas]
        self.strength = [bt.ind.RSI(data, period=self.p.period, safediv=True) for data in self.datas]
        self.count = 0

    def next(self) -> None:
        self.count += 1
        for index, data in enumerate(self.datas):
            kind = (self.count + index) % 11
            price, spread = data.close[0], self.ranges[index][0]
            size = 0.01 * (1 + self.count % 3)
            if kind == 0:
                self.buy(data, size=size)
            elif kind == 2:
                self.buy(data, size=size, exectype=bt.Order.Limit, price=price - spread / 3, tradeid=1)
            elif kind == 3 and self.strength[index][0] > 50:
                self.sell(data, size=2 * size)
            elif kind == 5:
                self.buy_bracket(data, size=size, limitprice=price + spread, stopprice=price - spread, price=price)
            elif kind == 7:
                self.order_target_percent(data, target=0.2 if price > self.averages[index][0] else -0.1)
            elif kind == 9:
                self.close(data)


def random_bars(symbol: str, seed: int, count: int = 1_500, missing: float = 0.0, first: int = 0) -> list[Bar]:
    rng, price, bars = random.Random(seed), 100.0, []
    for i in range(first, count):
        opened = price * (1 + rng.gauss(0, 0.0005))
        price = opened * (1 + rng.gauss(0, 0.002))
        high, low = max(opened, price) * (1 + rng.random() / 1e3), min(opened, price) * (1 - rng.random() / 1e3)
        if rng.random() >= missing:
            bars.append(Bar("x", symbol, "1m", T0 + i * MINUTE, opened, high, low, price, rng.random()))
    return bars


def sample_bars(symbol: str) -> list[Bar]:
    """A day of the shipped sample, straight from its zip."""
    name = f"{symbol.replace('/', '').lower()}_20180405.zip"
    archive = next((Path(__file__).parents[2] / "examples" / "data").rglob(name))
    with zipfile.ZipFile(archive) as zipped:
        rows = csv.reader(io.TextIOWrapper(zipped.open(zipped.namelist()[0])))
        start = 1_522_886_400_000
        return [Bar("coinbase", symbol, "1m", start + int(r[0]), *map(float, r[1:6])) for r in rows]


def columns(bars: Sequence[Bar]) -> Columns:
    prices = {n: np.array([getattr(b, n) for b in bars]) for n in ("open", "high", "low", "close", "volume")}
    return Columns(event=np.array([b.ts + MINUTE for b in bars]), **prices)


def steps(series: Mapping[str, Sequence[Bar]]) -> Iterator[engine.Step]:
    every = [(bar.ts + MINUTE, index, bar) for index, bars in enumerate(series.values()) for bar in bars]
    for event, group in groupby(sorted(every, key=lambda item: item[:2]), key=lambda item: item[0]):
        yield event, [(index, bar) for _, index, bar in group]


def run_ours(mode: str, strategy: type[Any], series: dict[str, Sequence[Bar]], broker: Any, params: Any) -> Any:
    spec = BacktestSpec.model_validate(
        {
            "strategy": {"builtin": "sma-cross"},
            "data": {"replay": {"name": "r"}},
            "broker": {"cash": broker["cash"], "commission_percent": broker["commission_percent"],
                       "slippage_percent": broker["slippage_percent"]},
            "sizer": {"percent": broker["percent"]},
        }
    )  # fmt: skip
    records: list[ResultRecord] = []
    results = Results("run", broker["cash"], MINUTE, records.append)
    if mode == "batch":
        made = engine.batch(spec, strategy, params, {s: columns(b) for s, b in series.items()}, "1m")
    else:
        made = engine.stream(spec, strategy, params, list(series), "1m", steps(series))
    made.addanalyzer(Collector, results=results)
    made.run()
    results.flush()
    return results, records


def compare(stock: Outcome, results: Results, records: list[ResultRecord]) -> None:
    fills = [r for r in records if isinstance(r, RunFill)]
    trades = [r for r in records if isinstance(r, RunTrade)]
    assert [
        (f.symbol, pd.Timestamp(f.ts, unit="ms"), f.size if f.side == "buy" else -f.size, f.price) for f in fills
    ] == stock.fills
    assert [
        (t.symbol, pd.Timestamp(t.entry_ts, unit="ms"), pd.Timestamp(t.exit_ts, unit="ms"), t.entry_price, t.pnl,
         t.pnl_net)
        for t in trades
    ] == stock.trades  # fmt: skip
    points = [p for r in records if isinstance(r, RunEquity) for p in zip(r.ts, r.value, strict=True)]
    assert [(pd.Timestamp(ts, unit="ms"), value) for ts, value in points] == stock.equity
    assert results.value[-1] == stock.final
    assert [f.seq for f in fills] == list(range(len(fills)))
    assert [t.seq for t in trades] == list(range(len(trades)))


STRATEGIES = {
    "sma-cross": (BUILTINS["sma-cross"], {"fast": 10, "slow": 30}),
    "ema-cross": (BUILTINS["ema-cross"], {"fast": 5, "slow": 20}),
    "rsi": (BUILTINS["rsi"], {"lower": 35.0, "upper": 60.0}),
    "bollinger": (BUILTINS["bollinger"], {"deviations": 1.5}),
    "donchian": (BUILTINS["donchian"], {}),
    "macd": (BUILTINS["macd"], {}),
    "buy-and-hold": (BUILTINS["buy-and-hold"], {}),
    "restless": (Restless, {"period": 7}),
}
SERIES = {
    "random": lambda: {"A": random_bars("A", 1)},
    "random-two": lambda: {"B": random_bars("B", 2, missing=0.3, first=40), "A": random_bars("A", 3, missing=0.1)},
    "sample": lambda: {"BTC/USD": sample_bars("BTC/USD")},
    "sample-two": lambda: {"BTC/USD": sample_bars("BTC/USD"), "LTC/USD": sample_bars("LTC/USD")},
}
BROKER = {"cash": 10_000.0, "commission_percent": 0.1, "slippage_percent": 0.01, "percent": 95.0}


@pytest.mark.parametrize("data", SERIES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_same_as_stock(name: str, data: str) -> None:
    strategy, params = STRATEGIES[name]
    series = SERIES[data]()
    stock = run_stock(strategy, series, **BROKER, **params)
    assert stock.fills, "nothing traded: the comparison says nothing"
    hashes = set()
    for mode in ("batch", "stream"):
        results, records = run_ours(mode, strategy, series, BROKER, params)
        compare(stock, results, records)
        hashes.add(results.trades_hash)
    assert len(hashes) == 1


@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_holding_is_told_beside(mode: str) -> None:
    series = SERIES["random-two"]()
    results, _ = run_ours(mode, BUILTINS["sma-cross"], series, BROKER, {})
    changes = [bars[-1].close / bars[0].close - 1 for bars in series.values()]
    assert results.summary()["buy_and_hold_percent"] == pytest.approx(50 * sum(changes))
