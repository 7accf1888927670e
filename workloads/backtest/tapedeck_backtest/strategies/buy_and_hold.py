"""Buy and hold: the benchmark of the other strategies."""

from __future__ import annotations

from typing import Any

import backtrader as bt


class BuyAndHold(bt.Strategy):  # type: ignore[misc]
    """Buys each symbol once, at its first bar, for an equal part of the size that the sizer returns."""

    def __init__(self) -> None:
        self.not_bought: list[Any] = list(self.datas)

    def prenext(self) -> None:
        self.next()  # buys a symbol although another has no bars yet

    def next(self) -> None:
        if not self.not_bought:
            return
        started = [data for data in self.not_bought if len(data)]
        self.not_bought = [data for data in self.not_bought if not len(data)]
        for data in started:
            self.buy(data, size=self.getsizing(data) / len(self.datas))
