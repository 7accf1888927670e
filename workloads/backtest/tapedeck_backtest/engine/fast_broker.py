"""Backtrader's broker with less to do on bars on which nothing can fill.

Of what it does then, only the account's value is left: without interest and with assets that are paid in full nothing
is credited. ``datetime`` of a position stays that of its last fill, where Backtrader moves it on.
"""

from __future__ import annotations

from typing import Any

import backtrader as bt
from backtrader.comminfo import CommInfoBase, CommissionInfo


class SwiftBroker(bt.brokers.BackBroker):  # type: ignore[misc]
    """As BackBroker, number for number. ``schemes`` are the commissions that credit and adjust as Backtrader's do."""

    schemes: tuple[type[Any], ...] = (CommInfoBase, CommissionInfo)

    def init(self) -> None:
        super().init()
        self._held: list[tuple[Any, Any, float, float]] = []
        self._simple: bool | None = None

    def setcommission(self, *arguments: Any, **named: Any) -> None:
        super().setcommission(*arguments, **named)
        self._simple = None

    def addcommissioninfo(self, comminfo: Any, name: str | None = None) -> None:
        super().addcommissioninfo(comminfo, name)
        self._simple = None

    def next(self) -> None:
        waiting = self.submitted or self.pending or self._toactivate or self._userhist
        if waiting or not self._is_simple():
            super().next()
        else:
            self._get_value()

    def _is_simple(self) -> bool:
        if self._simple is None:
            self._held = []
            self._simple = all(
                type(each) in self.schemes and each.stocklike and not each.p.interest for each in self.comminfo.values()
            )
        return self._simple

    def _get_value(self, datas: Any = None, lever: bool = False) -> Any:
        plain = self.p.shortcash and not (datas or self._cash_addition or self._fundhist)
        if not plain or not self._is_simple():
            return super()._get_value(datas, lever)
        if len(self._held) != len(self.positions):
            self._held = [self._holding(data) for data in self.positions]
        worth = unlevered = unrealized = 0.0
        for position, close, leverage, mult in self._held:
            size, price = position.size, close.array[close._idx]
            value = size * price
            gain = size * (price - position.price) * mult
            worth += value
            unrealized += gain
            if value > 0:
                unlevered += (value - gain) / leverage
                unlevered += gain
            else:
                unlevered += value
        self._value = self.cash + unlevered
        self._fundval = self._value / self._fundshares
        self._valuemkt = unlevered
        self._valuelever = self.cash + worth
        self._valuemktlever = worth
        self._leverage = worth / (unlevered or 1.0)
        self._unrealized = unrealized
        return self._valuelever if lever else self._value

    def _holding(self, data: Any) -> tuple[Any, Any, float, float]:
        scheme = self.getcommissioninfo(data)
        return self.positions[data], data.lines.close, scheme.get_leverage(), scheme.p.mult
