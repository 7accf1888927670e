"""Moving average convergence/divergence and its signal line."""

from __future__ import annotations

import backtrader as bt

from tapedeck_backtest.strategies.lengths import check_whole


class Macd(bt.Strategy):  # type: ignore[misc]
    """Long while MACD (fast minus slow exponential average of closes) is above its signal line."""

    params = (("fast", 12), ("slow", 26), ("signal", 9))

    def __init__(self) -> None:
        check_whole(fast=self.p.fast, slow=self.p.slow, signal=self.p.signal)
        if not 0 < self.p.fast < self.p.slow:
            raise ValueError(f"fast, slow: got {self.p.fast}, {self.p.slow}, expected 0 < fast < slow")
        if self.p.signal < 1:
            raise ValueError(f"signal: got {self.p.signal}, expected at least 1")
        self.crossings = []
        for data in self.datas:
            macd = bt.ind.MACD(data.close, period_me1=self.p.fast, period_me2=self.p.slow, period_signal=self.p.signal)
            self.crossings.append(bt.ind.CrossOver(macd.macd, macd.signal))

    def next(self) -> None:
        for data, crossing in zip(self.datas, self.crossings, strict=True):
            if data.datetime[0] < self.datetime[0]:
                continue  # no new bar of this symbol
            if crossing[0] > 0 and not self.getposition(data):
                self.buy(data, reason="over its signal")
            elif crossing[0] < 0 and self.getposition(data):
                self.close(data, reason="under its signal")
