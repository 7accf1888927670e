"""Backtrader's simulated broker with the settings of a spec.

Backtrader alone matches orders. This module adds what it lacks: a maker rate for orders that rested at their limit, a
fixed commission per fill, and accounts that may not sell short.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import backtrader as bt

from tapedeck_backtest.engine.fast_broker import FastBroker
from tapedeck_crds import broker as settings

_LIMIT_TYPES = (bt.Order.Limit, bt.Order.StopLimit, bt.Order.StopTrailLimit)
_ROUNDING = 1e-9  # relative rounding error allowed in a sum of order sizes


class PercentCommission(bt.CommInfoBase):  # type: ignore[misc]
    """Backtrader's own commission, a share of the value; of a negative price by its amount: no fill pays for itself."""

    params = (("percabs", True),)

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        return float(abs(size) * self.p.commission * abs(price))


class FillCommission(bt.CommInfoBase):  # type: ignore[misc]
    """Commission of a fill: rate × value + amount per unit × size + fixed amount.

    ``commission`` (taker) and ``maker`` are rates (0.001 is 0.1 %); ``unit`` and ``fixed`` are in quote currency.
    """

    params = (("percabs", True), ("maker", 0.0), ("unit", 0.0), ("fixed", 0.0))

    def __init__(self) -> None:
        super().__init__()
        self._reset()

    def _reset(self) -> None:
        self._rate, self._fixed, self._filling = self.p.commission, self.p.fixed, False

    @contextmanager
    def filling(self, as_maker: bool) -> Iterator[None]:
        """Surrounds the fill of one order: Backtrader charges an order that reverses a position in two parts."""
        self._rate, self._filling = self.p.maker if as_maker else self.p.commission, True
        try:
            yield
        finally:
            self._reset()

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        commission: float = abs(size) * (self._rate * abs(price) + self.p.unit) + self._fixed
        if self._filling:
            self._fixed = 0.0  # charged once per fill
        return commission


class SimulatedBroker(FastBroker):
    """BackBroker with FillCommission; an order that would open a short position is rejected unless ``shorts``."""

    params = (("shorts", True),)
    schemes = (*FastBroker.schemes, PercentCommission, FillCommission)

    def _slip_up(self, pmax: float, price: float, doslip: bool = True, lim: bool = False) -> float | None:
        with self._slipping_at(price):
            return super()._slip_up(pmax, price, doslip, lim)  # type: ignore[no-any-return]

    def _slip_down(self, pmin: float, price: float, doslip: bool = True, lim: bool = False) -> float | None:
        with self._slipping_at(price):
            return super()._slip_down(pmin, price, doslip, lim)  # type: ignore[no-any-return]

    @contextmanager
    def _slipping_at(self, price: float) -> Iterator[None]:
        """Backtrader's percentage of a price: of a negative one with the other sign, so that it costs the order."""
        share = self.p.slip_perc
        self.p.slip_perc = math.copysign(share, price)
        try:
            yield
        finally:
            self.p.slip_perc = share

    def _execute(
        self,
        order: Any,
        ago: int | None = None,
        price: float | None = None,
        cash: float | None = None,
        position: Any = None,
        dtcoc: float | None = None,
    ) -> Any:
        if ago is None or price is None:  # a margin check, or no price was found
            return super()._execute(order, ago=ago, price=price, cash=cash, position=position, dtcoc=dtcoc)
        if not self.p.shorts and self._opens_short(order):
            order.reject(self)
            self.notify(order)
            self._ococheck(order)
            self._bracketize(order, cancel=True)
            return None
        scheme = self.getcommissioninfo(order.data)
        if not isinstance(scheme, FillCommission):
            return super()._execute(order, ago=ago, price=price, dtcoc=dtcoc)
        with scheme.filling(_is_maker(order, price)):
            return super()._execute(order, ago=ago, price=price, dtcoc=dtcoc)

    def _opens_short(self, order: Any) -> bool:
        remaining = order.executed.remsize
        return bool(remaining < 0 and self.positions[order.data].size + remaining < remaining * _ROUNDING)


def _is_maker(order: Any, price: float) -> bool:
    """Whether the order rested in the book until the market reached its limit."""
    if order.exectype not in _LIMIT_TYPES:
        return False
    limit = order.created.price if order.exectype == bt.Order.Limit else order.created.pricelimit
    opened = order.data.open[0]
    return bool(price == limit and (opened > limit if order.isbuy() else opened < limit))


class _AtAnyPrice(bt.Sizer):  # type: ignore[misc]
    """Money buys as much at a negative price as at the positive one, and nothing at 0."""

    def _getsizing(self, comminfo: Any, cash: float, data: Any, isbuy: bool) -> float:
        close = data.close[0]
        if close > 0 or self.broker.getposition(data).size:
            return super()._getsizing(comminfo, cash, data, isbuy)  # type: ignore[no-any-return]
        return abs(super()._getsizing(comminfo, cash, data, isbuy)) if close else 0.0


class CashSizer(_AtAnyPrice, bt.sizers.PercentSizer):  # type: ignore[misc]
    """Buys for ``percents`` of the cash."""


class _MoneySizer(bt.Sizer):  # type: ignore[misc]
    """An order without a size closes the position, or buys for an amount of money at the last close."""

    params: Any = (("whole", False),)

    def _money(self) -> float:
        raise NotImplementedError

    def _getsizing(self, comminfo: Any, cash: float, data: Any, isbuy: bool) -> float:
        size: float = self.broker.getposition(data).size or self._money() / data.close[0]
        return int(size) if self.p.whole else size


class AmountSizer(_AtAnyPrice, _MoneySizer):
    """Buys for ``amount`` of the quote currency."""

    params: Any = (("amount", 0.0),)

    def _money(self) -> float:
        return float(self.p.amount)


class ValueSizer(_AtAnyPrice, _MoneySizer):
    """Buys for ``percents`` of the account's value."""

    params: Any = (("percents", 0.0),)

    def _money(self) -> float:
        return float(self.broker.getvalue() * self.p.percents / 100)


def make_broker(spec: settings.BrokerOptions) -> SimulatedBroker:
    """The broker of a spec. If only commissionPercent is set, the commission is Backtrader's own."""
    broker = SimulatedBroker(shorts=spec.shorts, coc=spec.fill == "close")
    broker.setcash(spec.cash)
    rate = spec.commission_percent / 100
    if spec.maker_percent is None and not spec.commission_fixed and not spec.commission_per_unit:
        broker.addcommissioninfo(PercentCommission(commission=rate, leverage=spec.leverage))
    else:
        maker = rate if spec.maker_percent is None else spec.maker_percent / 100
        rates = {
            "commission": rate,
            "maker": maker,
            "unit": spec.commission_per_unit,
            "fixed": spec.commission_fixed,
            "leverage": spec.leverage,
        }
        broker.addcommissioninfo(FillCommission(**rates))
    if spec.slippage_percent:
        broker.set_slippage_perc(spec.slippage_percent / 100)
    elif spec.slippage_fixed:
        broker.set_slippage_fixed(spec.slippage_fixed)
    return broker


def add_sizer(cerebro: Any, spec: settings.Sizer) -> None:
    """Add the spec's sizer, which sizes orders that the strategy makes without a size."""
    if spec.fixed is not None:
        cerebro.addsizer(bt.sizers.FixedSize, stake=spec.fixed)
    elif spec.percent is not None:
        cerebro.addsizer(CashSizer, percents=spec.percent, retint=spec.whole)
    elif spec.value_percent is not None:
        cerebro.addsizer(ValueSizer, percents=spec.value_percent, whole=spec.whole)
    else:
        cerebro.addsizer(AmountSizer, amount=spec.amount, whole=spec.whole)
