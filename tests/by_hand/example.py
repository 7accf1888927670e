"""The expected results of examples/backtest.yaml: its crossover over the sample bars, by stock Backtrader."""

from __future__ import annotations

from pathlib import Path

import backtrader as bt

from by_hand.backtrader import Outcome, run_stock
from by_hand.samples import coinbase
from tapedeck_common.market import Bar

SAMPLES = Path(__file__).parents[2] / "examples/data/coinbase-minute"


class Crossover(bt.Strategy):  # type: ignore[misc]
    """The strategy of the example, written independently."""

    params = (("fast", 10), ("slow", 30))

    def __init__(self) -> None:
        self.fast = bt.indicators.SMA(self.data.close, period=self.p.fast)
        self.slow = bt.indicators.SMA(self.data.close, period=self.p.slow)

    def next(self) -> None:
        above = self.fast[0] > self.slow[0]
        below = self.fast[0] < self.slow[0]
        was_above = self.fast[-1] > self.slow[-1]
        was_below = self.fast[-1] < self.slow[-1]
        if not self.position and above and was_below:
            self.buy()
        elif self.position and below and was_above:
            self.close()


def outcome() -> Outcome:
    """The trades and the final value."""
    return run_stock(Crossover, {"BTC/USD": _bars("BTC/USD")}, cash=10_000, commission_percent=0.1, percent=95)


def trades(done: Outcome) -> list[tuple[float, ...]]:
    """For each trade: opened and closed (seconds UTC), entry price, profit before and after commission."""
    return [(t[1].timestamp(), t[2].timestamp(), t[3], t[4], t[5]) for t in done.trades]


def _bars(symbol: str) -> list[Bar]:
    chosen = sorted((ts, prices) for (name, ts), prices in coinbase(SAMPLES).items() if name == symbol)
    return [Bar("coinbase", symbol, "1m", ts, *prices) for ts, prices in chosen]
