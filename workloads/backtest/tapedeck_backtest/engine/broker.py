"""Backtrader's simulated broker with the settings of a spec.

Orders are matched by Backtrader alone. Added is what it lacks: a commission for orders that waited for their
price, one for a fill as a whole, and an account without shorts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import backtrader as bt

from tapedeck_backtest.engine.fast_broker import SwiftBroker
from tapedeck_crds import broker as settings

_LIMITS = (bt.Order.Limit, bt.Order.StopLimit, bt.Order.StopTrailLimit)
_ROUNDING = 1e-9  # share of an order's size that sums of sizes may be off


class Fees(bt.CommInfoBase):  # type: ignore[misc]
    """Commission of a fill: share of its value + amount a unit + amount for the whole of it.

    ``commission`` and ``maker`` are shares (0.001 is 0.1 %), ``unit`` and ``fixed`` quote currency.
    """

    params = (("percabs", True), ("maker", 0.0), ("unit", 0.0), ("fixed", 0.0))

    def __init__(self) -> None:
        super().__init__()
        self._rest()

    def _rest(self) -> None:
        self._rate, self._fixed, self._filling = self.p.commission, self.p.fixed, False

    @contextmanager
    def filling(self, waited: bool) -> Iterator[None]:
        """While one order fills. One that turns a position round is asked for its closing and for its opening part."""
        self._rate, self._filling = self.p.maker if waited else self.p.commission, True
        try:
            yield
        finally:
            self._rest()

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        commission: float = abs(size) * (self._rate * price + self.p.unit) + self._fixed
        if self._filling:
            self._fixed = 0.0  # the other part has paid it
        return commission


class Broker(SwiftBroker):
    """As BackBroker; ``shorts`` says whether a sale may open a short position."""

    params = (("shorts", True),)
    schemes = (*SwiftBroker.schemes, Fees)

    def _execute(
        self,
        order: Any,
        ago: int | None = None,
        price: float | None = None,
        cash: float | None = None,
        position: Any = None,
        dtcoc: float | None = None,
    ) -> Any:
        if ago is None or price is None:  # asks what it would cost, or found no price
            return super()._execute(order, ago=ago, price=price, cash=cash, position=position, dtcoc=dtcoc)
        if not self.p.shorts and self._opens_short(order):
            order.reject(self)
            self.notify(order)
            self._ococheck(order)
            self._bracketize(order, cancel=True)
            return None
        fees = self.getcommissioninfo(order.data)
        if not isinstance(fees, Fees):
            return super()._execute(order, ago=ago, price=price, dtcoc=dtcoc)
        with fees.filling(_waited(order, price)):
            return super()._execute(order, ago=ago, price=price, dtcoc=dtcoc)

    def _opens_short(self, order: Any) -> bool:
        rest = order.executed.remsize
        return bool(rest < 0 and self.positions[order.data].size + rest < rest * _ROUNDING)


def _waited(order: Any, price: float) -> bool:
    """Whether the order lay in the book until the market came to its limit."""
    if order.exectype not in _LIMITS:
        return False
    limit = order.created.price if order.exectype == bt.Order.Limit else order.created.pricelimit
    opened = order.data.open[0]
    return bool(price == limit and (opened > limit if order.isbuy() else opened < limit))


class _MoneySizer(bt.Sizer):  # type: ignore[misc]
    """The size of the position, or what some money buys at the close."""

    params: Any = (("whole", False),)

    def _money(self) -> float:
        raise NotImplementedError

    def _getsizing(self, comminfo: Any, cash: float, data: Any, isbuy: bool) -> float:
        size: float = self.broker.getposition(data).size or self._money() / data.close[0]
        return int(size) if self.p.whole else size


class AmountSizer(_MoneySizer):
    """``amount`` in the quote currency."""

    params: Any = (("amount", 0.0),)

    def _money(self) -> float:
        return float(self.p.amount)


class ValueSizer(_MoneySizer):
    """``percents`` of the account's value."""

    params: Any = (("percents", 0.0),)

    def _money(self) -> float:
        return float(self.broker.getvalue() * self.p.percents / 100)


def make_broker(wanted: settings.BrokerOptions) -> Broker:
    """The broker that a spec asks for. With nothing but commissionPercent its fees are Backtrader's own."""
    broker = Broker(shorts=wanted.shorts, coc=wanted.fill == "close")
    broker.setcash(wanted.cash)
    rate = wanted.commission_percent / 100
    if wanted.maker_percent is None and not wanted.commission_fixed and not wanted.commission_per_unit:
        broker.setcommission(commission=rate, leverage=wanted.leverage)
    else:
        maker = rate if wanted.maker_percent is None else wanted.maker_percent / 100
        fees = {
            "commission": rate,
            "maker": maker,
            "unit": wanted.commission_per_unit,
            "fixed": wanted.commission_fixed,
            "leverage": wanted.leverage,
        }
        broker.addcommissioninfo(Fees(**fees))
    if wanted.slippage_percent:
        broker.set_slippage_perc(wanted.slippage_percent / 100)
    elif wanted.slippage_fixed:
        broker.set_slippage_fixed(wanted.slippage_fixed)
    return broker


def add_sizer(cerebro: Any, wanted: settings.Sizer) -> None:
    """Have orders without a size sized as a spec asks for."""
    if wanted.fixed is not None:
        cerebro.addsizer(bt.sizers.FixedSize, stake=wanted.fixed)
    elif wanted.percent is not None:
        cerebro.addsizer(bt.sizers.PercentSizer, percents=wanted.percent, retint=wanted.whole)
    elif wanted.value_percent is not None:
        cerebro.addsizer(ValueSizer, percents=wanted.value_percent, whole=wanted.whole)
    else:
        cerebro.addsizer(AmountSizer, amount=wanted.amount, whole=wanted.whole)
