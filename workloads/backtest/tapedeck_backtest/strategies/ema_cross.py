"""Crossover of two exponential moving averages, which react faster than simple ones."""

from __future__ import annotations

import backtrader as bt

from tapedeck_backtest.strategies.lengths import check_whole


class EmaCross(bt.Strategy):  # type: ignore[misc]
    """Long while the fast exponential moving average of closes is above the slow one, for each symbol."""

    params = (("fast", 12), ("slow", 26))

    def __init__(self) -> None:
        check_whole(fast=self.p.fast, slow=self.p.slow)
        if not 0 < self.p.fast < self.p.slow:
            raise ValueError(f"fast, slow: got {self.p.fast}, {self.p.slow}, expected 0 < fast < slow")
        self.crossings = [
            bt.ind.CrossOver(bt.ind.EMA(data.close, period=self.p.fast), bt.ind.EMA(data.close, period=self.p.slow))
            for data in self.datas
        ]

    def next(self) -> None:
        for data, crossing in zip(self.datas, self.crossings, strict=True):
            if data.datetime[0] < self.datetime[0]:
                continue  # no new bar of this symbol
            if crossing[0] > 0 and not self.getposition(data):
                self.buy(data, reason="fast over slow")
            elif crossing[0] < 0 and self.getposition(data):
                self.close(data, reason="fast under slow")
