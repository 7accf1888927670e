"""What is open in the simulated account: positions, and orders that are not filled."""

from __future__ import annotations

import math
from typing import Any

import backtrader as bt

from tapedeck_backtest.text import storable
from tapedeck_common.records import RunOrder, RunPosition

REASON_MAX = 200


def reason_of(order: Any) -> str:
    """The ``reason`` that the strategy gave when it made the order; else the type of a priced order: Stop, Limit."""
    reason = order.info.get("reason")
    if reason is None:
        return "" if order.exectype == bt.Order.Market else str(order.getordername())
    return storable(str(reason)[:REASON_MAX])


def open_positions(broker: Any) -> list[RunPosition]:
    """All positions, in the order of their first fill. May be called from another thread."""
    result = []
    for data, position in broker.positions.copy().items():
        size, price = position.size, position.price
        if size:
            close = data.close[0]
            gain = broker.getcommissioninfo(data).profitandloss(size, price, close)
            result.append(RunPosition(data._name, size, price, _finite(close), _finite(gain)))
    return result


def unfilled_orders(broker: Any) -> list[Any]:
    """Backtrader's orders that may still fill, the oldest first. May be called from another thread."""
    waiting = [*broker.submitted.copy(), *filter(None, broker.pending.copy())]
    return sorted((order for order in waiting if order.alive()), key=lambda order: order.ref)


def run_order(order: Any) -> RunOrder:
    """The record of a Backtrader order."""
    market = order.exectype == bt.Order.Market
    return RunOrder(
        symbol=order.data._name,
        ts=order.data.event_of(order.created.dt),
        side="buy" if order.isbuy() else "sell",
        kind=order.getordername(),
        size=_finite(abs(order.executed.remsize)),
        price=None if market else _finite(order.created.price),
        reason=reason_of(order),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
