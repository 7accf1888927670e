"""Bars from trades."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tapedeck_common.market import Bar, Trade
from tapedeck_crds.base import INTERVAL_MS


def bars_from_trades(trades: Iterable[Trade], interval: str) -> Iterator[Bar]:
    """Closed bars of one series from its trades in order of (ts, id).

    An interval without a trade has no bar. The last one is closed only by a trade of a later interval.
    Whether the first interval was seen from its beginning can't be told from the trades: its bar is made
    of those there are.
    """
    step = INTERVAL_MS[interval]
    start = -1
    open_ = high = low = close = volume = 0.0
    exchange = symbol = ""
    for trade in trades:
        if trade.ts >= start + step or start < 0:
            if start >= 0:
                yield Bar(exchange, symbol, interval, start, open_, high, low, close, volume)
            start = trade.ts // step * step
            exchange, symbol = trade.exchange, trade.symbol
            open_ = high = low = trade.price
            volume = 0.0
        high = max(high, trade.price)
        low = min(low, trade.price)
        close = trade.price
        volume += trade.amount
