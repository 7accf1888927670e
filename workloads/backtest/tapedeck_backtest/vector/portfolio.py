"""What Backtrader's broker makes of a strategy that holds one symbol or nothing, in the same sums in the same order.

Each order is a market order of the bar before: judged by that bar's close, filled at this one's open.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tapedeck_backtest.engine.feeds import Columns
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.vector.signals import Marks
from tapedeck_common.records import RunTrade
from tapedeck_common.store.bars import Floats
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.broker import BrokerOptions, Sizer

_SMALLEST = 1e-150  # below it products lose places, and orders their rest
Size = Callable[[float, float, float], float]


class Unlike(Exception):
    """Something that only the engine can tell how it ends."""


@dataclass
class _Stretch:
    """From bar ``first`` on: the cash, and what is held at which price."""

    first: int
    cash: float
    size: float = 0
    price: float = 0.0


@dataclass
class Trading:
    """One symbol's bars, and an account. ``results`` takes fills and trades as they come."""

    spec: BacktestSpec
    symbol: str
    bars: Columns
    marks: Marks
    results: Results
    _stretches: list[_Stretch] = field(default_factory=list)

    def __post_init__(self) -> None:
        broker = self.spec.broker
        self._commission = _commission(broker)
        self._size = _size(self.spec.sizer)
        self._leverage = broker.leverage
        self._stretches.append(_Stretch(0, broker.cash))
        bars = self.bars  # as views: those give Python's own numbers
        self._events, self._opens, self._closes = bars.event.data, bars.open.data, bars.close.data
        self._highs, self._lows = bars.high.data, bars.low.data

    def run(self) -> None:
        """Trade from the first bar to the last. Raises Unlike."""
        enter, leave = (np.flatnonzero(mask).tolist() for mask in (self.marks.enter, self.marks.leave))
        at, last = 0, len(self.bars.event) - 1
        while (entry := _next(enter, at)) is not None and entry < last:
            at, opened = entry + 1, self._open(entry)
            if opened is None:
                continue
            while (exit_ := _next(leave, at)) is not None and exit_ < last:
                at = exit_ + 1
                if self._close(exit_, opened):
                    break
            else:
                break
        self._account()

    def _open(self, entry: int) -> tuple[float, float, int] | None:
        """Buy on the bar's mark: size, commission and the bar of the fill; None where cash is lacking."""
        cash, close = self._stretches[-1].cash, self._closes[entry]
        size = abs(self._size(cash, cash + 0.0, close))
        if not size:
            return None
        if not _SMALLEST < size < np.inf:
            raise Unlike(f"an order for {size}")
        fill = entry + 1
        price = self._slipped(self._opens[fill], self._highs[fill], up=True)
        if self._after_buying(cash, size, close) < 0.0 or (left := self._after_buying(cash, size, price)) < 0.0:
            self.results.rejected += 1
            return None
        paid = self._commission(size, price)
        self._stretches.append(_Stretch(fill, left, size, price))
        self.results.fill(self.symbol, self._events[fill], size, price, 0.0 + paid)
        return size, paid, fill

    def _close(self, exit_: int, opened: tuple[float, float, int]) -> bool:
        """Sell on the bar's mark; whether it filled."""
        size, paid, entered = opened
        held, close, fill = self._stretches[-1], self._closes[exit_], exit_ + 1
        if held.cash + size * close / self._leverage + 0.0 - self._commission(size, close) < 0.0:
            self.results.rejected += 1
            return False
        price = self._slipped(self._opens[fill], self._lows[fill], up=False)
        cost = self._commission(size, price)
        cash = held.cash + (size * held.price / self._leverage + size * (price - held.price))
        cash -= cost
        self._stretches.append(_Stretch(fill, cash))
        events = self._events
        self.results.fill(self.symbol, events[fill], -size, price, cost + 0.0)
        entry_price = size * held.price / size  # as a Trade averages it
        pnl = 0.0 + size * (price - entry_price)
        commission = 0.0 + paid + cost
        self.results.trade(
            RunTrade(
                run_id=self.results.run_id,
                seq=len(self.results.pnl_net),
                symbol=self.symbol,
                side="long",
                size=0.0 + size,
                entry_ts=events[entered],
                entry_price=entry_price,
                exit_ts=events[fill],
                exit_price=price,
                pnl=pnl,
                pnl_net=pnl - commission,
                commission=commission,
                entry_reason=self.marks.enter_reason,
                exit_reason=self.marks.leave_reason,
            )
        )
        return True

    def _after_buying(self, cash: float, size: float, price: float) -> float:
        return cash - size * price / self._leverage - self._commission(size, price)

    def _slipped(self, price: float, worst: float, *, up: bool) -> float:
        broker = self.spec.broker
        share, amount = broker.slippage_percent / 100, broker.slippage_fixed
        if not share and not amount:
            return price
        if up:
            return min(price * (1 + share) if share else price + amount, worst)
        return max(price * (1 - share) if share else price - amount, worst)

    def _account(self) -> None:
        """Value and cash after each bar."""
        firsts = [stretch.first for stretch in self._stretches]
        lengths = np.diff([*firsts, len(self.bars.event)])

        def spread(values: list[float]) -> Floats:
            return np.repeat(np.array(values, dtype=np.float64), lengths)

        cash = spread([stretch.cash for stretch in self._stretches])
        size = spread([stretch.size for stretch in self._stretches])
        price = spread([stretch.price for stretch in self._stretches])
        close = self.bars.close
        worth, gain = size * close, size * (close - price)
        value = cash + ((0.0 + (worth - gain) / self._leverage) + gain)
        if not np.all(np.isfinite(value)):
            raise Unlike("an account that is no number")
        self.results.closes = lambda: [(close[0].item(), close[-1].item())]
        self.results.points(self.bars.event, value, cash)


def _next(bars: list[int], at: int) -> int | None:
    index = bisect_left(bars, at)
    return bars[index] if index < len(bars) else None


def _commission(broker: BrokerOptions) -> Callable[[float, float], float]:
    rate = broker.commission_percent / 100
    unit, fixed = broker.commission_per_unit, broker.commission_fixed
    if broker.maker_percent is None and not fixed and not unit:
        return lambda size, price: size * rate * price
    return lambda size, price: size * (rate * price + unit) + fixed


def _size(sizer: Sizer | None) -> Size:
    """What is bought with ``cash``, of an account worth ``value``, at ``price``; see ``broker.add_sizer``."""
    exact = _exact(sizer)
    if sizer is None or sizer.fixed is not None or not sizer.whole:
        return exact
    return lambda cash, value, price: int(exact(cash, value, price))


def _exact(sizer: Sizer | None) -> Size:
    if sizer is None:
        return lambda cash, value, price: 1
    if (fixed := sizer.fixed) is not None:
        return lambda cash, value, price: fixed
    if (percent := sizer.percent) is not None:
        return lambda cash, value, price: cash / price * (percent / 100)
    if (share := sizer.value_percent) is not None:
        return lambda cash, value, price: value * share / 100 / price
    amount = float(sizer.amount or 0.0)
    return lambda cash, value, price: amount / price
