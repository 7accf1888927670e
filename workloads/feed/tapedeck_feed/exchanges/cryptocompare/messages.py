"""CryptoCompare's messages → market types. Pure; ValueError names field, value and expectation.

Fields as its documentation of the streamer's channels and of the history's endpoints names them. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapedeck_common.market import Bar, Side, Ticker, Trade, bar_problem, trade_problem
from tapedeck_feed.exchanges.parsing import moment, number, optional

Message = Mapping[str, Any]
SELL, BUY = 1, 2  # bits of a trade's flag
PRICES = ("OPEN", "HIGH", "LOW", "CLOSE")


def to_trade(exchange: str, symbol: str, message: Message, before: tuple[float, Side] | None) -> Trade:
    """A trade of the channel 0.

    Where the market does not tell the side, it follows from the price ``before`` and its side: the tick test of
    Lee and Ready (1991).
    """
    name = message.get("ID")
    if not isinstance(name, str) or not name:
        raise ValueError(f"ID: got {name!r}, expected text")
    price, amount = number("P", message.get("P")), number("Q", message.get("Q"))
    ts = moment(_seconds("TS", message.get("TS")) + _part(message.get("TSNS")))
    trade = Trade(exchange, symbol, ts, name, price, amount, _side(message.get("F"), price, before))
    if problem := trade_problem(trade):
        raise ValueError(problem)
    return trade


def to_candle(exchange: str, symbol: str, interval: str, message: Message) -> Bar | None:
    """A candle of the channel 24 as it stands; None for one of a time without prices."""
    values = (*(message.get(name) for name in PRICES), message.get("VOLUMEFROM"))
    return _bar(exchange, symbol, interval, _seconds("TS", message.get("TS")), values, closed=False)


def to_bar(exchange: str, symbol: str, interval: str, row: Message) -> Bar | None:
    """A row of the history; None for one of a time without prices, such as before a market's first trade."""
    values = tuple(row.get(name) for name in ("open", "high", "low", "close", "volumefrom"))
    return _bar(exchange, symbol, interval, _seconds("time", row.get("time")), values, closed=True)


def to_ticker(exchange: str, symbol: str, state: Message) -> Ticker:
    """The state of a market, channel 2 or 5; its messages tell only what changed."""
    ts = moment(_seconds("LASTUPDATE", state.get("LASTUPDATE")))
    rest = (optional(state.get(name)) for name in ("VOLUME24HOUR", "HIGH24HOUR", "LOW24HOUR", "BID", "ASK"))
    return Ticker(exchange, symbol, ts, number("PRICE", state.get("PRICE")), *rest)


def _bar(exchange: str, symbol: str, interval: str, ts: int, values: tuple[Any, ...], *, closed: bool) -> Bar | None:
    names = (*PRICES, "VOLUMEFROM")
    open_, high, low, close, volume = (number(name, value) for name, value in zip(names, values, strict=True))
    if not any((open_, high, low, close)):
        return None
    bar = Bar(exchange, symbol, interval, moment(ts), open_, high, low, close, volume, closed)
    if problem := bar_problem(bar):
        raise ValueError(problem)
    return bar


def _side(flag: Any, price: float, before: tuple[float, Side] | None) -> Side:
    bits = int(flag) if isinstance(flag, int | str) and str(flag).isdigit() else None
    if bits is None:
        raise ValueError(f"F: got {flag!r}, expected a number")
    if bits & SELL:
        return "sell"
    if bits & BUY or before is None:
        return "buy"
    return before[1] if price == before[0] else ("buy" if price > before[0] else "sell")


def _seconds(name: str, value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{name}: got {value!r}, expected seconds since 1970")
    return value * 1000


def _part(nanoseconds: Any) -> int:
    """Milliseconds of what some markets tell beside the second."""
    return nanoseconds // 1_000_000 if type(nanoseconds) is int and 0 <= nanoseconds < 1_000_000_000 else 0
