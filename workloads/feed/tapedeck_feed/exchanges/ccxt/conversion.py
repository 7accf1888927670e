"""ccxt's unified structures → market types; ValueError names field, value and expectation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ccxt

from tapedeck_common.market import Bar, Ticker, Trade, bar_problem, trade_problem
from tapedeck_common.records import Listing
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_feed.exchanges.parsing import TS_END, moment, number, optional

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


def to_listing(exchange: str, symbol: str, market: Mapping[str, Any], mode: int, at: int) -> Listing:
    """The listing at ``at`` (milliseconds UTC). ``mode`` says how the exchange tells its precision; currencies that
    it does not name are those of the symbol.
    """
    base, _, quote = symbol.partition(":")[0].partition("/")
    precision = market.get("precision") or {}
    return Listing(
        exchange,
        symbol,
        str(market.get("base") or base),
        str(market.get("quote") or quote),
        at,
        _step(precision.get("price"), mode),
        _step(precision.get("amount"), mode),
    )


def _step(precision: Any, mode: int) -> float | None:
    """The smallest change: told as itself or as a number of decimals; significant digits make none."""
    if not isinstance(precision, int | float) or isinstance(precision, bool) or not math.isfinite(precision):
        return None
    if mode == ccxt.TICK_SIZE:
        return float(precision) if precision > 0 else None
    if mode == ccxt.DECIMAL_PLACES and abs(precision) <= 18:
        return float(f"1e{-int(precision)}")
    return None
