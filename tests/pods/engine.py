"""Runs the engine inside the test's process, and compares its results with stock Backtrader."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from by_hand.backtrader import MINUTE, Outcome
from tapedeck_backtest.bars.arrays import BarArrays, TimeStep
from tapedeck_backtest.engine import cerebro
from tapedeck_backtest.engine.analyzers import ResultsAnalyzer
from tapedeck_backtest.report.results import Results
from tapedeck_common.market import Bar, event_time
from tapedeck_common.records import ResultRecord, RunEquity, RunFill, RunTrade
from tapedeck_crds.backtest import BacktestSpec

Setup = Callable[[bt.Cerebro], None]
CASH = 10_000.0

T0 = 1_522_800_000_000
CASH = 10_000.0


class ManyOrders(bt.Strategy):  # type: ignore[misc]
    """Uses limits, stops, brackets, shorts, reversals, several trade ids and recursive indicators."""

    params = (("period", 5),)

    def __init__(self) -> None:
        self.averages = [bt.ind.EMA(data, period=self.p.period) for data in self.datas]
        self.ranges = [bt.ind.ATR(data, period=self.p.period) for data in self.datas]
        self.strength = [bt.ind.RSI(data, period=self.p.period, safediv=True) for data in self.datas]
        self.count = 0

    def next(self) -> None:
        self.count += 1
        for index, data in enumerate(self.datas):
            case = (self.count + index) % 11
            price, spread = data.close[0], self.ranges[index][0]
            size = 0.01 * (1 + self.count % 3)
            if case == 0:
                self.buy(data, size=size)
            elif case == 2:
                self.buy(data, size=size, exectype=bt.Order.Limit, price=price - spread / 3, tradeid=1)
            elif case == 3 and self.strength[index][0] > 50:
                self.sell(data, size=2 * size)
            elif case == 5:
                self.buy_bracket(data, size=size, limitprice=price + spread, stopprice=price - spread, price=price)
            elif case == 7:
                self.order_target_percent(data, target=0.2 if price > self.averages[index][0] else -0.1)
            elif case == 9:
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


def columns_of(bars: Sequence[Bar]) -> BarArrays:
    prices = {n: np.array([getattr(b, n) for b in bars]) for n in ("open", "high", "low", "close", "volume")}
    return BarArrays(event=np.array([event_time(b) for b in bars]), **prices)


def steps(series: Mapping[str, Sequence[Bar]]) -> Iterator[TimeStep]:
    every = [(bar.ts + MINUTE, index, bar) for index, bars in enumerate(series.values()) for bar in bars]
    for event, group in groupby(sorted(every, key=lambda item: item[:2]), key=lambda item: item[0]):
        yield event, [(index, bar) for _, index, bar in group]


def run_engine(
    mode: str,
    strategy: type[Any],
    series: Mapping[str, Sequence[Bar]],
    broker: dict[str, Any],
    sizer: dict[str, Any] | None = None,
    **params: Any,
) -> tuple[Results, list[ResultRecord]]:
    spec = BacktestSpec.model_validate(
        {
            "strategy": {"builtin": "sma-cross"},
            "data": {"replay": {"name": "r"}},
            "broker": {"cash": CASH, **broker},
            **({"sizer": sizer} if sizer else {}),
        }
    )
    records: list[ResultRecord] = []
    results = Results("run", CASH, MINUTE, records.append)
    if mode == "batch":
        engine = cerebro.batch_engine(spec, strategy, params, {s: columns_of(b) for s, b in series.items()}, "1m", {})
    else:
        engine = cerebro.stream_engine(spec, strategy, params, list(series), "1m", steps(series), {})
    engine.addanalyzer(ResultsAnalyzer, results=results)
    engine.run()
    results.flush()
    return results, records


def assert_equal(stock: Outcome, results: Results, records: list[ResultRecord]) -> None:
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
