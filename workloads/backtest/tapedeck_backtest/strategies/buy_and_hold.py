"""The benchmark of the others."""

from __future__ import annotations

from typing import Any

import backtrader as bt


class BuyAndHold(bt.Strategy):  # type: ignore[misc]
    """Buys each symbol once, at its first bar, for an equal part of what the sizer gives."""

    def __init__(self) -> None:
        self.waiting: list[Any] = list(self.datas)

    def prenext(self) -> None:
        self.next()  # a symbol that starts later keeps none from being bought

    def next(self) -> None:
        if not self.waiting:
            return
        started = [data for data in self.waiting if len(data)]
        self.waiting = [data for data in self.waiting if not len(data)]
        for data in started:
            self.buy(data, size=self.getsizing(data) / len(self.datas))
