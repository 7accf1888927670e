"""Backtrader's broker, with less work on bars on which no order can fill, and less for each order.

On such a bar Backtrader credits interest, adjusts the cash of futures and revalues the account. Without interest, and
with assets that are paid in full, only the revaluation has an effect. One difference is visible: ``datetime`` of a
position stays at its last fill, where Backtrader sets it to the current bar.

The copy of an order that each notification has is made without pickle's protocol, by which ``copy`` asks an object for
methods that no order has.
"""

from __future__ import annotations

from typing import Any

import backtrader as bt
from backtrader.comminfo import CommInfoBase, CommissionInfo
from backtrader.order import BuyOrder, SellOrder

_STOCK_ORDERS = (BuyOrder, SellOrder)


class FastBroker(bt.brokers.BackBroker):  # type: ignore[misc]
    """Bit-identical to BackBroker. ``schemes`` are the commission schemes with Backtrader's own interest methods."""

    schemes: tuple[type[Any], ...] = (CommInfoBase, CommissionInfo)

    def init(self) -> None:
        super().init()
        self._holdings: list[tuple[Any, Any, float, float]] = []
        self._only_revalues: bool | None = None  # None: to be determined again

    def setcommission(self, *arguments: Any, **named: Any) -> None:
        super().setcommission(*arguments, **named)
        self._only_revalues = None

    def addcommissioninfo(self, comminfo: Any, name: str | None = None) -> None:
        super().addcommissioninfo(comminfo, name)
        self._only_revalues = None

    def notify(self, order: Any) -> None:
        self.notifs.append(_clone(order) if type(order) in _STOCK_ORDERS else order.clone())

    def account(self) -> tuple[float, float]:
        """Value and cash after the last bar, as ``getvalue`` and ``getcash`` return them."""
        return self._value, self.cash

    def next(self) -> None:
        has_orders = self.submitted or self.pending or self._toactivate or self._userhist
        if has_orders or not self._needs_only_revaluation():
            super().next()
        else:
            self._get_value()

    def _needs_only_revaluation(self) -> bool:
        if self._only_revalues is None:
            self._holdings = []
            self._only_revalues = all(
                type(each) in self.schemes and each.stocklike and not each.p.interest for each in self.comminfo.values()
            )
        return self._only_revalues

    def _get_value(self, datas: Any = None, lever: bool = False) -> Any:
        plain = self.p.shortcash and not (datas or self._cash_addition or self._fundhist)
        if not plain or not self._needs_only_revaluation():
            return super()._get_value(datas, lever)
        if len(self._holdings) != len(self.positions):
            self._holdings = [self._holding(data) for data in self.positions]
        worth = unlevered = unrealized = 0.0
        for position, close, leverage, mult in self._holdings:
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


def _clone(order: Any) -> Any:
    """Equal to ``order.clone()``."""
    order.executed.markpending()
    cloned = _copy(order)
    cloned.executed = _copy(order.executed)
    return cloned


def _copy(original: Any) -> Any:
    copied = object.__new__(type(original))
    vars(copied).update(vars(original))
    return copied
