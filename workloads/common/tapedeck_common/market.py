"""The market types of the log, their order, and bars from trades. Times are integer milliseconds UTC."""

from __future__ import annotations

import calendar
import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec

from tapedeck_crds.base import described_ms
from tapedeck_crds.intervals import BAR_LENGTHS

RecordSource: TypeAlias = Literal["live", "backfill", "replay"]
Side: TypeAlias = Literal["buy", "sell", "unknown"]
"""The side of a trade's taker; files of time and sales do not have it."""
TRADE_ID_MAX = 128  # characters; a position with a trade id must fit the metadata of a committed offset
TradePlace: TypeAlias = tuple[int, str]
"""(seq, id): the place of a trade within its millisecond; ids compare by ``trade_id_key``."""
OrderKey: TypeAlias = tuple[int, str, str, str, int | TradePlace]
"""(event time, exchange, symbol, interval, revision of a bar or place of a trade). A trade's interval is empty."""
TradeKey: TypeAlias = tuple[int, int, int, str]
"""(time, seq, length of the id, id): the order of one symbol's trades; in SQL ``ORDER BY ts, seq, length(id), id``."""
SAME_TIME_MAX = 1_000  # milliseconds whose last trade is remembered


def market_time_end() -> int:
    """The end of next year, milliseconds UTC: no record of a market that is not simulated has a later time."""
    return _start_of(time.gmtime().tm_year + 2)


@lru_cache(maxsize=4)
def _start_of(year: int) -> int:
    return calendar.timegm((year, 1, 1, 0, 0, 0)) * 1_000


class Bar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Open, high, low, close and volume of one interval. ``ts`` is the open time; ``rev`` counts corrections."""

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


class Trade(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One trade. ``id`` is the exchange's own.

    ``seq`` gives the order of the trades of one millisecond where their ids do not: it counts up from 1 in order of
    arrival. It is 0 where the ids are numbers that count up.
    """

    exchange: str
    symbol: str
    ts: int
    id: str
    price: float
    amount: float
    side: Side
    seq: int = 0


class Ticker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The state of a market at ``ts``; fields that the exchange did not send are null."""

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
    """A result of the transform ``series`` at ``ts``; ``interval`` is empty for transforms of trades or tickers.

    ``id`` and ``seq`` are those of the trade. A bar has its close in ``value``, beside open, high, low and volume.
    ``rev`` counts corrections; a null value withdraws a result.
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
    seq: int = 0


RECORDED_PREFIX = "replay."


def recorded_market(name: str) -> str:
    """The exchange id of the market that the Replay of this name records."""
    return f"{RECORDED_PREFIX}{name}"


def event_time(bar: Bar) -> int:
    """The time at which the bar is known: its close time."""
    return BAR_LENGTHS[bar.interval].close_of(bar.ts)


def order_key(bar: Bar) -> OrderKey:
    """The order of bars everywhere: (event time, exchange, symbol, interval, rev)."""
    return (event_time(bar), bar.exchange, bar.symbol, bar.interval, bar.rev)


def trade_id_key(id: str) -> tuple[int, str]:
    """The order of trade ids: by length, then text, so that ids of digits compare by value."""
    return len(id), id


def trade_key(trade: Trade) -> TradeKey:
    """The order of one symbol's trades everywhere: (time, seq, length of the id, id)."""
    return (trade.ts, trade.seq, *trade_id_key(trade.id))


class ArrivalOrder:
    """Numbers trades within their millisecond, so that ``trade_key`` is the order of their arrival.

    The number stays the same while ids count up: then they give the order, also of trades that arrive later.
    ``published`` are trades that went out before, in order.
    """

    def __init__(self, published: Iterable[Trade] = ()) -> None:
        self._last: OrderedDict[int, Trade] = OrderedDict()
        for trade in published:
            self._last[trade.ts] = trade

    def numbered(self, trade: Trade) -> Trade:
        """The trade with its ``seq``."""
        last = self._last.get(trade.ts)
        if last is None:
            seq = 0 if is_number(trade.id) else 1
        else:
            seq = last.seq if _counts_up(last.id, trade.id) else last.seq + 1
        if seq != trade.seq:
            trade = msgspec.structs.replace(trade, seq=seq)
        self._last[trade.ts] = trade
        if len(self._last) > SAME_TIME_MAX:
            self._last.popitem(last=False)
        return trade

    def follow(self, trade: Trade) -> None:
        """Number the next trades after one whose number is known."""
        self._last[trade.ts] = trade


def sorted_by_arrival(trades: Iterable[Trade]) -> list[Trade]:
    """Trades by time: those of one millisecond by their ids where these count up, else in the given order."""
    by_key = sorted(trades, key=trade_key)
    if all(_counts_up(one.id, other.id) for one, other in pairwise(by_key)):
        return by_key
    return sorted(trades, key=lambda trade: trade.ts)


def _counts_up(id: str, following: str) -> bool:
    return is_number(id) and is_number(following) and trade_id_key(id) < trade_id_key(following)


def is_number(id: str) -> bool:
    """Whether a trade's id is a number."""
    return id.isascii() and id.isdigit()


def series_key(exchange: str, symbol: str) -> str:
    """The key of a record: all records of one market are in one partition."""
    return f"{exchange}:{symbol}"


def bar_problem(bar: Bar) -> str | None:
    """What is wrong with the bar: field, value and expectation; None for a valid one."""
    if (length := BAR_LENGTHS.get(bar.interval)) is None:
        return f"interval: got {bar.interval!r}, expected one of {', '.join(BAR_LENGTHS)}"
    if bar.ts != length.open_of(bar.ts):
        got, expected = described_ms(bar.ts), described_ms(length.open_of(bar.ts))
        return f"ts: got {got}, expected the open of a bar of {bar.interval}, such as {expected}"
    for name in ("open", "high", "low", "close"):
        price = getattr(bar, name)
        if not math.isfinite(price):
            return f"{name}: got {price}, expected a finite price"
    if not (math.isfinite(bar.volume) and bar.volume >= 0):
        return f"volume: got {bar.volume}, expected a finite number of at least 0"
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        return (
            f"high/low: got low {bar.low}, high {bar.high} around open {bar.open}, close {bar.close}; "
            "expected low <= open, close <= high"
        )
    return None


def trade_problem(trade: Trade) -> str | None:
    """What is wrong with the trade: field, value and expectation; None for a valid one."""
    if not trade.id:
        return "id: got none, expected the exchange's own; number the trades where it gives none"
    if len(trade.id) > TRADE_ID_MAX:
        return f"id: got {len(trade.id)} characters, expected 1 to {TRADE_ID_MAX}"
    if not math.isfinite(trade.price):
        return f"price: got {trade.price}, expected a finite price"
    if not (math.isfinite(trade.amount) and trade.amount > 0):
        return f"amount: got {trade.amount}, expected a finite number above 0"
    return None


def bars_from_trades(trades: Iterable[Trade], interval: str) -> Iterator[Bar]:
    """Closed bars of one series from all its trades, in the order of ``trade_key``.

    An interval without a trade has no bar; the end of the trades closes the last one. The first and the last bar may
    be incomplete: the trades do not show whether they cover their intervals.
    """
    length = BAR_LENGTHS[interval]
    start = end = -1
    open_ = high = low = close = volume = 0.0
    exchange = symbol = ""
    for trade in trades:
        if trade.ts >= end or start < 0:
            if start >= 0:
                yield Bar(exchange, symbol, interval, start, open_, high, low, close, volume)
            start, end = length.open_of(trade.ts), length.close_of(trade.ts)
            exchange, symbol = trade.exchange, trade.symbol
            open_ = high = low = trade.price
            volume = 0.0
        high = max(high, trade.price)
        low = min(low, trade.price)
        close = trade.price
        volume += trade.amount
    if start >= 0:
        yield Bar(exchange, symbol, interval, start, open_, high, low, close, volume)
