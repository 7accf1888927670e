"""CryptoCompare's messages → market types. Pure; ValueError names the field, the value and what was expected.

Field names are those of its documentation of the websocket's channels and of the history endpoints. Its times are in
seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapedeck_common.market import Bar, Side, Ticker, Trade, bar_problem, trade_problem
from tapedeck_feed.exchanges.parsing import optional_number, parse_number, parse_timestamp

Message = Mapping[str, Any]
SELL, BUY = 1, 2  # bits of a trade's flag F
PRICES = ("OPEN", "HIGH", "LOW", "CLOSE")


def to_trade(exchange: str, symbol: str, message: Message, previous: tuple[float, Side] | None) -> Trade:
    """A trade of channel 0. ``previous`` is the price and side of the symbol's trade before it.

    Where the flag has no side, it follows from the previous price and side: the tick test of Lee and Ready (1991).
    """
    trade_id = message.get("ID")
    if not isinstance(trade_id, str) or not trade_id:
        raise ValueError(f"ID: got {trade_id!r}, expected text")
    price, amount = parse_number("P", message.get("P")), parse_number("Q", message.get("Q"))
    ts = parse_timestamp(_to_ms("TS", message.get("TS")) + _fraction_ms(message.get("TSNS")))
    trade = Trade(exchange, symbol, ts, trade_id, price, amount, _side(message.get("F"), price, previous))
    if problem := trade_problem(trade):
        raise ValueError(problem)
    return trade


def to_running_bar(exchange: str, symbol: str, interval: str, message: Message) -> Bar | None:
    """The current candle of channel 24; None where it has no prices."""
    values = (*(message.get(name) for name in PRICES), message.get("VOLUMEFROM"))
    return _bar(exchange, symbol, interval, _to_ms("TS", message.get("TS")), values, closed=False)


def to_bar(exchange: str, symbol: str, interval: str, row: Message) -> Bar | None:
    """A row of the history; None where it has no prices, such as before a market's first trade."""
    values = tuple(row.get(name) for name in ("open", "high", "low", "close", "volumefrom"))
    return _bar(exchange, symbol, interval, _to_ms("time", row.get("time")), values, closed=True)


def to_ticker(exchange: str, symbol: str, fields: Message) -> Ticker:
    """A ticker from the merged fields of channel 2 or 5, whose messages carry only what changed."""
    ts = parse_timestamp(_to_ms("LASTUPDATE", fields.get("LASTUPDATE")))
    rest = (optional_number(fields.get(name)) for name in ("VOLUME24HOUR", "HIGH24HOUR", "LOW24HOUR", "BID", "ASK"))
    return Ticker(exchange, symbol, ts, parse_number("PRICE", fields.get("PRICE")), *rest)


def _bar(exchange: str, symbol: str, interval: str, ts: int, values: tuple[Any, ...], *, closed: bool) -> Bar | None:
    names = (*PRICES, "VOLUMEFROM")
    open_, high, low, close, volume = (parse_number(name, value) for name, value in zip(names, values, strict=True))
    if not any((open_, high, low, close)):
        return None
    bar = Bar(exchange, symbol, interval, parse_timestamp(ts), open_, high, low, close, volume, closed)
    if problem := bar_problem(bar):
        raise ValueError(problem)
    return bar


def _side(flag: Any, price: float, previous: tuple[float, Side] | None) -> Side:
    bits = int(flag) if isinstance(flag, int | str) and str(flag).isdigit() else None
    if bits is None:
        raise ValueError(f"F: got {flag!r}, expected a number")
    if bits & SELL:
        return "sell"
    if bits & BUY or previous is None:
        return "buy"
    previous_price, previous_side = previous
    if price == previous_price:
        return previous_side
    return "buy" if price > previous_price else "sell"


def _to_ms(name: str, value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{name}: got {value!r}, expected seconds since 1970")
    return value * 1000


def _fraction_ms(nanoseconds: Any) -> int:
    """Milliseconds of the fraction of a second that some markets send."""
    return nanoseconds // 1_000_000 if type(nanoseconds) is int and 0 <= nanoseconds < 1_000_000_000 else 0
