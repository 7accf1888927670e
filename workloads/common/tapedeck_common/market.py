"""The market types, as they stand on the log. Times are integer milliseconds UTC."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec

from tapedeck_crds.base import INTERVAL_MS

Source: TypeAlias = Literal["live", "backfill", "replay", "synthetic"]
Side: TypeAlias = Literal["buy", "sell"]
TRADE_ID_MAX = 128  # characters; a position that names a trade has to fit what the broker keeps of it
OrderKey: TypeAlias = tuple[int, str, str, str, int | str]
"""(event time, exchange, symbol, interval, revision of a bar or id of a trade).

A trade's interval is empty; ids go by (length, text), so that those of digits go by their value.
"""


class Bar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Open, high, low, close and volume of one interval. ``ts`` is the open; ``rev`` counts corrections."""

    exchange: str
    symbol: str
    interval: str
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool = True
    rev: int = 0


class Trade(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One trade. ``id`` is the exchange's own."""

    exchange: str
    symbol: str
    ts: int
    id: str
    price: float
    amount: float
    side: Side


class Ticker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The state of a market at ``ts``; what the exchange did not say is null."""

    exchange: str
    symbol: str
    ts: int
    price: float
    volume24h: float | None = None
    high24h: float | None = None
    low24h: float | None = None
    bid: float | None = None
    ask: float | None = None


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A result of the transform ``series`` at ``ts``; ``interval`` is empty where it is of trades or tickers.

    ``id`` is the trade's. A bar has open, high, low and volume around its close, the value. ``rev`` counts
    corrections; a null value takes a result back.
    """

    exchange: str
    symbol: str
    interval: str
    series: str
    ts: int
    value: float | None
    id: str = ""
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: float | None = None
    rev: int = 0


def event_time(bar: Bar) -> int:
    """When the bar is known: its close."""
    return bar.ts + INTERVAL_MS[bar.interval]


def order_key(bar: Bar) -> OrderKey:
    """The one order of bars everywhere: (event time, exchange, symbol, interval, rev)."""
    return (bar.ts + INTERVAL_MS[bar.interval], bar.exchange, bar.symbol, bar.interval, bar.rev)


def series_key(exchange: str, symbol: str) -> str:
    """The key of a record: all of one market stays in one partition."""
    return f"{exchange}:{symbol}"


def bar_problem(bar: Bar) -> str | None:
    """What makes the bar impossible, naming field, value and expectation; None for a sound one."""
    if bar.interval not in INTERVAL_MS:
        return f"interval: got {bar.interval!r}, expected one of {', '.join(INTERVAL_MS)}"
    if bar.ts % INTERVAL_MS[bar.interval]:
        return f"ts: got {bar.ts}, expected a multiple of {INTERVAL_MS[bar.interval]} ms ({bar.interval})"
    for name in ("open", "high", "low", "close"):
        price = getattr(bar, name)
        if not (math.isfinite(price) and price > 0):
            return f"{name}: got {price}, expected a finite price above 0"
    if not (math.isfinite(bar.volume) and bar.volume >= 0):
        return f"volume: got {bar.volume}, expected a finite number of at least 0"
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        return (
            f"high/low: got low {bar.low}, high {bar.high} around open {bar.open}, close {bar.close}; "
            "expected low <= open, close <= high"
        )
    return None


def trade_problem(trade: Trade) -> str | None:
    """What makes the trade impossible; None for a sound one."""
    if not 0 < len(trade.id) <= TRADE_ID_MAX:
        return f"id: got {len(trade.id)} characters, expected 1 to {TRADE_ID_MAX}"
    for name in ("price", "amount"):
        value = getattr(trade, name)
        if not (math.isfinite(value) and value > 0):
            return f"{name}: got {value}, expected a finite number above 0"
    return None
