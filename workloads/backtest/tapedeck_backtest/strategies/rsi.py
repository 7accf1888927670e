"""Mean reversion by the relative strength index."""

from __future__ import annotations

import backtrader as bt

from tapedeck_backtest.strategies.lengths import check_whole


class Rsi(bt.Strategy):  # type: ignore[misc]
    """Buys when Wilder's relative strength index is below ``lower``, sells when it is above ``upper``."""

    params = (("period", 14), ("lower", 30.0), ("upper", 70.0))

    def __init__(self) -> None:
        check_whole(period=self.p.period)
        if self.p.period < 1:
            raise ValueError(f"period: got {self.p.period}, expected at least 1")
        if not 0 <= self.p.lower < self.p.upper <= 100:
            raise ValueError(f"lower, upper: got {self.p.lower}, {self.p.upper}, expected 0 <= lower < upper <= 100")
        # safediv: without losses the average loss is 0
        self.strengths = [bt.ind.RSI(data.close, period=self.p.period, safediv=True) for data in self.datas]

    def next(self) -> None:
        for data, strength in zip(self.datas, self.strengths, strict=True):
            if data.datetime[0] < self.datetime[0]:
                continue  # no new bar of this symbol
            if strength[0] < self.p.lower and not self.getposition(data):
                self.buy(data, reason="oversold")
            elif strength[0] > self.p.upper and self.getposition(data):
                self.close(data, reason="overbought")
