"""Crossover of two simple moving averages: an example of how to write a strategy.

``params`` are the params that a Backtest may set, with their defaults: a number for a number, text for text. Indicators
are created in ``__init__``; ``next`` is called whenever a symbol has a new bar.
"""

from __future__ import annotations

import backtrader as bt

from tapedeck_backtest.strategies.lengths import check_whole


class SmaCross(bt.Strategy):  # type: ignore[misc]
    """Long while the fast simple moving average of closes is above the slow one, for each symbol."""

    params = (("fast", 10), ("slow", 30))

    def __init__(self) -> None:
        check_whole(fast=self.p.fast, slow=self.p.slow)
        if not 0 < self.p.fast < self.p.slow:
            raise ValueError(f"fast, slow: got {self.p.fast}, {self.p.slow}, expected 0 < fast < slow")
        self.crossings = [
            bt.ind.CrossOver(bt.ind.SMA(data.close, period=self.p.fast), bt.ind.SMA(data.close, period=self.p.slow))
            for data in self.datas
        ]

    def next(self) -> None:
        for data, crossing in zip(self.datas, self.crossings, strict=True):
            if data.datetime[0] < self.datetime[0]:
                continue  # no new bar of this symbol: its last crossing has been traded already
            if crossing[0] > 0 and not self.getposition(data):
                self.buy(data, reason="fast over slow")
            elif crossing[0] < 0 and self.getposition(data):
                self.close(data, reason="fast under slow")
