"""Breakout: follow a market that leaves its recent range."""

from __future__ import annotations

import backtrader as bt

from tapedeck_backtest.strategies.lengths import check_whole


class Donchian(bt.Strategy):  # type: ignore[misc]
    """Buys on a close above the highest high of the last ``entry`` bars, sells below the lowest of ``exit``."""

    params = (("entry", 20), ("exit", 10))

    def __init__(self) -> None:
        check_whole(entry=self.p.entry, exit=self.p.exit)
        if self.p.entry < 1 or self.p.exit < 1:
            raise ValueError(f"entry, exit: got {self.p.entry}, {self.p.exit}, expected at least 1")
        # (-1): the channel ends at the previous bar, otherwise no close could leave it
        self.tops = [bt.ind.Highest(data.high(-1), period=self.p.entry) for data in self.datas]
        self.bottoms = [bt.ind.Lowest(data.low(-1), period=self.p.exit) for data in self.datas]

    def next(self) -> None:
        for data, top, bottom in zip(self.datas, self.tops, self.bottoms, strict=True):
            if data.datetime[0] < self.datetime[0]:
                continue  # no new bar of this symbol
            if data.close[0] > top[0] and not self.getposition(data):
                self.buy(data, reason="above the channel")
            elif data.close[0] < bottom[0] and self.getposition(data):
                self.close(data, reason="below the channel")
