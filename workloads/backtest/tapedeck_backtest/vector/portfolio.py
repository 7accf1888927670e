"""The account of a strategy that is long in one symbol or flat: the same sums as Backtrader's broker, in its order.

Each order is a market order: margin is checked at the close of the signal's bar, and it fills at the next bar's open.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.vector.signals import Signals
from tapedeck_common.records import RunOrder, RunPosition, RunTrade
from tapedeck_common.store.bars import Floats
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.broker import BrokerOptions, Sizer
from tapedeck_crds.errors import TapedeckError

_MIN_SIZE = 1e-150  # below it, products of sizes and prices underflow and lose precision
_SizeFunction = Callable[[float, float, float], float]


class NeedsEngine(TapedeckError):
    """The run has reached a case that only the engine computes. Internal: it never leaves this package."""


@dataclass
class _Holding:
    """From bar ``first`` on: cash, position size and entry price."""

    first: int
    cash: float
    size: float = 0
    price: float = 0.0


@dataclass
class LongOnlyPortfolio:
    """One symbol's bars, and an account that trades its signals. ``results`` receives fills, trades and the account."""

    spec: BacktestSpec
    symbol: str
    bars: BarArrays
    signals: Signals
    results: Results
    _holdings: list[_Holding] = field(default_factory=list)

    def __post_init__(self) -> None:
        broker = self.spec.broker
        self._commission = _commission(broker)
        self._size = _size(self.spec.sizer)
        self._leverage = broker.leverage
        self._holdings.append(_Holding(0, broker.cash))
        bars = self.bars  # as memoryviews, whose items are Python numbers
        self._events, self._opens, self._closes = bars.event.data, bars.open.data, bars.close.data
        self._highs, self._lows = bars.high.data, bars.low.data

    def run(self) -> None:
        """Trade from the first bar to the last. Raises NeedsEngine."""
        entries, exits = (np.flatnonzero(mask).tolist() for mask in (self.signals.enter, self.signals.exit))
        at, last = 0, len(self.bars.event) - 1
        while (entry := _next(entries, at)) is not None and entry < last:
            at, opened = entry + 1, self._open(entry)
            if opened is None:
                continue
            while (exit_ := _next(exits, at)) is not None and exit_ < last:
                at = exit_ + 1
                if self._close(exit_, opened):
                    break
            else:
                break
        self._write_open_order(last)
        self._write_account()

    def _write_open_order(self, last: int) -> None:
        """The order made on the last bar, which no bar fills."""
        held, signals, made = self._holdings[-1].size, self.signals, self._events[last]
        if held and signals.exit[last]:
            order = RunOrder(self.symbol, made, "sell", "Market", held, None, signals.exit_reason)
        elif not held and signals.enter[last] and (size := self._order_size(last)):
            order = RunOrder(self.symbol, made, "buy", "Market", size, None, signals.enter_reason)
        else:
            return
        self.results.orders = lambda: [order]

    def _open(self, entry: int) -> tuple[float, float, int] | None:
        """Buy on the signal of bar ``entry``: size, commission and bar of the fill; None if cash is insufficient."""
        cash, close = self._holdings[-1].cash, self._closes[entry]
        size = self._order_size(entry)
        if not size:
            return None
        fill = entry + 1
        price = self._slipped(self._opens[fill], self._highs[fill], up=True)
        if self._after_buying(cash, size, close) < 0.0 or (remaining := self._after_buying(cash, size, price)) < 0.0:
            self.results.rejected += 1
            return None
        paid = self._commission(size, price)
        self._holdings.append(_Holding(fill, remaining, size, price))
        self.results.fill(self.symbol, self._events[fill], size, price, 0.0 + paid)
        return size, paid, fill

    def _order_size(self, entry: int) -> float:
        cash = self._holdings[-1].cash
        size = abs(self._size(cash, cash + 0.0, self._closes[entry]))
        if size and not _MIN_SIZE < size < np.inf:
            raise NeedsEngine(f"an order of size {size}")
        return size

    def _close(self, exit_: int, opened: tuple[float, float, int]) -> bool:
        """Sell on the signal of bar ``exit_``. Returns whether the order filled."""
        size, paid, entered = opened
        held, close, fill = self._holdings[-1], self._closes[exit_], exit_ + 1
        if held.cash + size * close / self._leverage + 0.0 - self._commission(size, close) < 0.0:
            self.results.rejected += 1
            return False
        price = self._slipped(self._opens[fill], self._lows[fill], up=False)
        cost = self._commission(size, price)
        cash = held.cash + (size * held.price / self._leverage + size * (price - held.price))
        cash -= cost
        self._holdings.append(_Holding(fill, cash))
        events = self._events
        self.results.fill(self.symbol, events[fill], -size, price, cost + 0.0)
        entry_price = size * held.price / size  # rounded like the average of Backtrader's Trade
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
                entry_reason=self.signals.enter_reason,
                exit_reason=self.signals.exit_reason,
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

    def _write_account(self) -> None:
        """Write value and cash after each bar to the results."""
        firsts = [holding.first for holding in self._holdings]
        lengths = np.diff([*firsts, len(self.bars.event)])

        def spread(values: list[float]) -> Floats:
            return np.repeat(np.array(values, dtype=np.float64), lengths)

        cash = spread([holding.cash for holding in self._holdings])
        size = spread([holding.size for holding in self._holdings])
        price = spread([holding.price for holding in self._holdings])
        close = self.bars.close
        market_value, gain = size * close, size * (close - price)
        value = cash + ((0.0 + (market_value - gain) / self._leverage) + gain)
        if not np.all(np.isfinite(value)):
            raise NeedsEngine("the account's value is NaN or infinite")
        self.results.closes = lambda: [(close[0].item(), close[-1].item())]
        if held := self._holdings[-1].size:
            position = RunPosition(self.symbol, held, price[-1].item(), close[-1].item(), gain[-1].item())
            self.results.positions = lambda: [position]
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


def _size(sizer: Sizer | None) -> _SizeFunction:
    """The size bought with (cash, account value, price); equal to the sizers of ``engine.broker.add_sizer``."""
    exact = _exact(sizer)
    if sizer is None or sizer.fixed is not None or not sizer.whole:
        return exact
    return lambda cash, value, price: int(exact(cash, value, price))


def _exact(sizer: Sizer | None) -> _SizeFunction:
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
