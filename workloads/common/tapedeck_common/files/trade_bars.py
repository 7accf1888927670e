"""Bars of trades that come in parts, each as columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import numpy as np

from tapedeck_common.bar_times import opens_of
from tapedeck_common.files.source_rows import Floats
from tapedeck_common.files.timestamps import Int64s
from tapedeck_common.market import Bar, Trade
from tapedeck_crds.intervals import BAR_LENGTHS


class TradeBars:
    """Makes the bars that ``bars_from_trades`` makes of the same trades, to the last bit."""

    def __init__(self, exchange: str, symbol: str, interval: str) -> None:
        self._series = (exchange, symbol, interval)
        self._length = BAR_LENGTHS[interval]
        self._open: Bar | None = None

    def add(self, ts: Int64s, price: Floats, amount: Floats) -> list[Bar]:
        """Add the next trades, at least one, in order; returns the bars that they close. Times are milliseconds UTC."""
        opens = opens_of(self._length, ts)
        is_first = np.concatenate(([True], opens[1:] != opens[:-1]))
        firsts = np.flatnonzero(is_first)
        lasts = np.concatenate((firsts[1:], [len(ts)])) - 1
        # Adds one after the other, as a loop does; a sum by pairs would differ in the last digits.
        volumes = np.bincount(np.cumsum(is_first) - 1, amount)
        before = self._open
        if before is not None and before.ts == opens[0]:
            same = amount[: lasts[0] + 1]
            volumes[0] = np.bincount(np.zeros(len(same) + 1, np.int64), np.concatenate(([before.volume], same)))[0]
        columns = (
            opens[firsts],
            price[firsts],
            np.maximum.reduceat(price, firsts),
            np.minimum.reduceat(price, firsts),
            price[lasts],
            volumes,
        )
        bars = list(map(Bar, *map(repeat, self._series), *(column.tolist() for column in columns)))
        if before is not None:
            bars[:1] = [_joined(before, bars[0])] if before.ts == bars[0].ts else [before, bars[0]]
        self._open = bars.pop()
        return bars

    def add_trades(self, trades: Sequence[Trade]) -> list[Bar]:
        """As ``add``, of trades one by one."""
        times = np.array([trade.ts for trade in trades], np.int64)
        return self.add(times, *(np.array([getattr(trade, name) for trade in trades]) for name in ("price", "amount")))

    def end(self) -> list[Bar]:
        """The last bar, if there is one."""
        return [] if self._open is None else [self._open]


def _joined(bar: Bar, later: Bar) -> Bar:
    """A bar and what followed in its interval; ``later`` has the volume of both."""
    high, low = max(bar.high, later.high), min(bar.low, later.low)
    return Bar(bar.exchange, bar.symbol, bar.interval, bar.ts, bar.open, high, low, later.close, later.volume)
