"""Mean reversion from Bollinger bands, which widen with the market's volatility."""

from __future__ import annotations

import backtrader as bt

from tapedeck_backtest.strategies.lengths import check_whole


class Bollinger(bt.Strategy):  # type: ignore[misc]
    """Buys when the close is below the lower Bollinger band, sells when it is above the middle band."""

    params = (("period", 20), ("deviations", 2.0))

    def __init__(self) -> None:
        check_whole(period=self.p.period)
        if self.p.period < 2:
            raise ValueError(f"period: got {self.p.period}, expected at least 2")
        if not self.p.deviations > 0:
            raise ValueError(f"deviations: got {self.p.deviations}, expected more than 0")
        self.bands = [
            bt.ind.BollingerBands(data.close, period=self.p.period, devfactor=self.p.deviations) for data in self.datas
        ]

    def next(self) -> None:
        for data, band in zip(self.datas, self.bands, strict=True):
            if data.datetime[0] < self.datetime[0]:
                continue  # no new bar of this symbol
            if data.close[0] < band.bot[0] and not self.getposition(data):
                self.buy(data, reason="below the lower band")
            elif data.close[0] > band.mid[0] and self.getposition(data):
                self.close(data, reason="above the middle")
