"""A user's module: the moving averages of Backtrader's quick start."""

from __future__ import annotations

import backtrader as bt


class SmaCross(bt.Strategy):  # type: ignore[misc]
    """Long while the fast average is above the slow one."""

    params = (("fast", 10), ("slow", 30))

    def __init__(self) -> None:
        self.crossover = bt.ind.CrossOver(bt.ind.SMA(period=self.p.fast), bt.ind.SMA(period=self.p.slow))

    def next(self) -> None:
        if not self.position:
            if self.crossover > 0:
                self.buy()
        elif self.crossover < 0:
            self.close()
