"""ccxt's unified structures → market types; ValueError names field, value and expectation."""

from __future__ import annotations

import math
from typing import Any

from tapedeck_common.market import Bar, Ticker, Trade, bar_problem, trade_problem
from tapedeck_crds.base import INTERVAL_MS

TS_END = 4_102_444_800_000  # 2100
DIGITS_MAX = 20  # of an id that counts up: that of 64 bits


def to_trade(exchange: str, symbol: str, row: dict[str, Any], *, contiguous: bool) -> Trade:
    """A trade as ccxt gives it."""
    name, price, amount, side = row["id"], row["price"], row["amount"], row["side"]
    if not isinstance(name, str) or not name or (contiguous and not _counts(name)):
        expected = f"at most {DIGITS_MAX} digits" if contiguous else "text"
        raise ValueError(f"id: got {name!r}, expected {expected}")
    if side != "buy" and side != "sell":
        raise ValueError(f"side: got {side!r}, expected buy or sell")
    if type(price) is not float or type(amount) is not float:
        price, amount = number("price", price), number("amount", amount)
    trade = Trade(exchange, symbol, moment(row["timestamp"]), name, price, amount, side)
    if not (0 < price < math.inf and 0 < amount < math.inf):
        raise ValueError(trade_problem(trade))
    return trade


def _counts(name: str) -> bool:
    return name.isdigit() and name.isascii() and len(name) <= DIGITS_MAX


def to_bar(exchange: str, symbol: str, interval: str, row: list[Any], *, closed: bool) -> Bar:
    """A candle as ccxt gives it: ts, open, high, low, close, volume."""
    if (bar := _sound(exchange, symbol, interval, row, closed)) is not None:
        return bar
    if len(row) < 6:
        raise ValueError(f"candle: got {len(row)} values, expected ts, open, high, low, close, volume")
    names = ("open", "high", "low", "close", "volume")
    open_, high, low, close, volume = (number(name, value) for name, value in zip(names, row[1:6], strict=True))
    bar = Bar(exchange, symbol, interval, moment(row[0]), open_, high, low, close, volume, closed)
    if problem := bar_problem(bar):
        raise ValueError(problem)
    return bar


def _sound(exchange: str, symbol: str, interval: str, row: list[Any], closed: bool) -> Bar | None:
    """The bar of a candle that is beyond doubt, without a look at each number; None for others."""
    if len(row) != 6:
        return None
    ts, open_, high, low, close, volume = row
    if not (type(open_) is type(high) is type(low) is type(close) is type(volume) is float and type(ts) is int):
        return None
    if not (0 < low <= open_ <= high < math.inf and low <= close <= high and 0 <= volume < math.inf):
        return None
    if not 0 <= ts < TS_END or ts % INTERVAL_MS[interval]:
        return None
    return Bar(exchange, symbol, interval, ts, open_, high, low, close, volume, closed)


def to_ticker(exchange: str, symbol: str, row: dict[str, Any], now: int) -> Ticker:
    """A ticker as ccxt gives it; ``now`` (milliseconds UTC) stands in where the exchange gives no time."""
    price = row["last"] if row.get("last") is not None else row.get("close")
    stamp = row.get("timestamp")
    ts = now if stamp is None else moment(stamp)
    rest = (optional(row.get(name)) for name in ("baseVolume", "high", "low", "bid", "ask"))
    return Ticker(exchange, symbol, ts, number("last", price), *rest)


def moment(ts: Any) -> int:
    """A time in milliseconds UTC."""
    if type(ts) is not int or not 0 <= ts < TS_END:
        raise ValueError(f"timestamp: got {ts!r}, expected milliseconds UTC between 1970 and 2100")
    return ts


def number(name: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name}: got {value!r}, expected a number")
    return float(value)


def optional(value: Any) -> float | None:
    """A finite number, or None for whatever else it is."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
