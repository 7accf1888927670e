"""ccxt's unified structures → market types; ValueError names field, value and expectation."""

from __future__ import annotations

import math
from typing import Any

from tapedeck.market import Bar, Ticker, Trade, bar_problem, trade_problem

TS_END = 4_102_444_800_000  # 2100


def to_trade(exchange: str, symbol: str, row: dict[str, Any], *, contiguous: bool) -> Trade:
    """A trade as ccxt gives it."""
    number, price, amount, side = row["id"], row["price"], row["amount"], row["side"]
    if not isinstance(number, str) or not number or (contiguous and not (number.isascii() and number.isdigit())):
        raise ValueError(f"id: got {number!r}, expected {'digits' if contiguous else 'text'}")
    if side != "buy" and side != "sell":
        raise ValueError(f"side: got {side!r}, expected buy or sell")
    if type(price) is not float or type(amount) is not float:
        price, amount = _number("price", price), _number("amount", amount)
    trade = Trade(exchange, symbol, _moment(row["timestamp"]), number, price, amount, side)
    if problem := trade_problem(trade):
        raise ValueError(problem)
    return trade


def to_bar(exchange: str, symbol: str, interval: str, row: list[Any], *, closed: bool) -> Bar:
    """A candle as ccxt gives it: ts, open, high, low, close, volume."""
    if len(row) < 6:
        raise ValueError(f"candle: got {len(row)} values, expected ts, open, high, low, close, volume")
    names = ("open", "high", "low", "close", "volume")
    open_, high, low, close, volume = (_number(name, value) for name, value in zip(names, row[1:6], strict=True))
    bar = Bar(exchange, symbol, interval, _moment(row[0]), open_, high, low, close, volume, closed)
    if problem := bar_problem(bar):
        raise ValueError(problem)
    return bar


def to_ticker(exchange: str, symbol: str, row: dict[str, Any], now: int) -> Ticker:
    """A ticker as ccxt gives it; ``now`` (milliseconds UTC) stands in where the exchange gives no time."""
    price = row["last"] if row.get("last") is not None else row.get("close")
    stamp = row.get("timestamp")
    ts = now if stamp is None else _moment(stamp)
    optional = (_optional(row.get(name)) for name in ("baseVolume", "high", "low", "bid", "ask"))
    return Ticker(exchange, symbol, ts, _number("last", price), *optional)


def _moment(ts: Any) -> int:
    if type(ts) is not int or not 0 <= ts < TS_END:
        raise ValueError(f"timestamp: got {ts!r}, expected milliseconds UTC between 1970 and 2100")
    return ts


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name}: got {value!r}, expected a number")
    return float(value)


def _optional(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
