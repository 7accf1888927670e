"""The bar of one interval while its trades arrive. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tapedeck_common.market import Bar, Trade, TradeKey, event_time, trade_key
from tapedeck_crds.intervals import BarLength

Ohlcv = tuple[float, float, float, float, float]


class Content(Enum):
    """What the values of an interval are made of."""

    UNKNOWN = "its trades were lost; the values mean nothing until the exchange's bar replaces them"
    FILLED = "no trade; the close of the bar before"
    TRADED = "trades, or the exchange's own bar"


@dataclass(slots=True)
class BarBuilder:
    """The values of one interval, and how far they are known and published.

    - ``first``, ``last``: keys of the trades that made open and close, None without trades.
    - ``closed``: the interval is over. ``complete``: every trade of it was seen.
    - ``revision``: that of the last published closed bar, None before the first.
    - ``updated``: the values changed since the running bar was last published.
    """

    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    first: TradeKey | None = None
    last: TradeKey | None = None
    content: Content = Content.FILLED
    revision: int | None = None
    closed: bool = False
    complete: bool = True
    updated: bool = True

    @classmethod
    def filled(cls, price: float) -> BarBuilder:
        """An interval without a trade: all prices are ``price``."""
        return cls(price, price, price, price)

    @classmethod
    def unknown(cls, *, closed: bool) -> BarBuilder:
        """An interval whose trades were lost."""
        return cls(0.0, 0.0, 0.0, 0.0, content=Content.UNKNOWN, closed=closed, complete=False, updated=False)

    @classmethod
    def from_bar(cls, bar: Bar) -> BarBuilder:
        """The exchange's own bar."""
        builder = cls(bar.open, bar.high, bar.low, bar.close)
        builder.set_values(bar)
        return builder

    @property
    def values(self) -> Ohlcv:
        """Open, high, low, close and volume."""
        return self.open, self.high, self.low, self.close, self.volume

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of the interval, not even that it had no trade."""
        return self.content is Content.UNKNOWN

    def set_values(self, bar: Bar) -> None:
        """Replace the values. Trades that arrive later do not change open and close."""
        self.open, self.high, self.low, self.close, self.volume = bar.open, bar.high, bar.low, bar.close, bar.volume
        self.first, self.last = (bar.ts, -1, 0, ""), (event_time(bar), 0, 0, "")  # before and after every trade's key
        self.content = Content.TRADED

    def fill(self, price: float) -> None:
        """The interval had no trade: all prices are ``price``."""
        self.open = self.high = self.low = self.close = price
        self.content = Content.FILLED

    def next_revision(self) -> None:
        """The closed bar is published for the first time, or again because it changed."""
        self.revision = 0 if self.revision is None else self.revision + 1

    def add(self, trade: Trade) -> None:
        """Add a trade of the interval, in any order."""
        price = trade.price
        key = trade_key(trade)
        if self.first is None or self.last is None:  # the first trade
            self.open = self.high = self.low = self.close = price
            self.first = self.last = key
            self.content = Content.TRADED
        elif key < self.first:
            self.open, self.first = price, key
        elif key > self.last:
            self.close, self.last = price, key
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume += trade.amount
        self.updated = True


def build_bars(trades: Iterable[Trade], length: BarLength) -> dict[int, BarBuilder]:
    """The intervals of some trades, by open time."""
    builders: dict[int, BarBuilder] = {}
    for trade in trades:
        start = length.open_of(trade.ts)
        builder = builders.get(start)
        if builder is None:
            builder = builders[start] = BarBuilder.filled(trade.price)
        builder.add(trade)
    return builders
