"""ccxt's unified structures → market types. ValueError names the field, the value and what was expected. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ccxt

from tapedeck_common.market import Bar, Ticker, Trade, bar_problem, trade_problem
from tapedeck_common.records import Listing
from tapedeck_common.trade_gaps import ID_DIGITS_MAX, is_counting_id
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_feed.exchanges.parsing import (
    TS_END,
    derived_trade_id,
    optional_number,
    parse_number,
    parse_timestamp,
)


def to_trade(
    exchange: str, symbol: str, row: dict[str, Any], *, contiguous_ids: bool, has_trade_ids: bool = True
) -> Trade:
    """From ccxt's trade structure. With ``contiguous_ids`` an id has to be a number; another may be missing.

    Without ``has_trade_ids`` the trade gets the same id whether it has one, as by REST, or not, as by websocket.
    """
    trade_id, price, amount, side = row["id"], row["price"], row["amount"], row["side"]
    if not has_trade_ids or (trade_id is None and not contiguous_ids):
        trade_id = derived_trade_id(row["timestamp"], side, price, amount)
    if not isinstance(trade_id, str) or not trade_id or (contiguous_ids and not is_counting_id(trade_id)):
        expected = f"at most {ID_DIGITS_MAX} digits" if contiguous_ids else "text"
        raise ValueError(f"id: got {trade_id!r}, expected {expected}")
    if side != "buy" and side != "sell":
        raise ValueError(f"side: got {side!r}, expected buy or sell")
    if type(price) is not float or type(amount) is not float:
        price, amount = parse_number("price", price), parse_number("amount", amount)
    trade = Trade(exchange, symbol, parse_timestamp(row["timestamp"]), trade_id, price, amount, side)
    if not (math.isfinite(price) and 0 < amount < math.inf):
        raise ValueError(trade_problem(trade))
    return trade


def to_bar(exchange: str, symbol: str, interval: str, row: list[Any], *, closed: bool) -> Bar:
    """From ccxt's candle: ts, open, high, low, close, volume."""
    if (bar := _to_bar_fast(exchange, symbol, interval, row, closed)) is not None:
        return bar
    if len(row) < 6:
        raise ValueError(f"candle: got {len(row)} values, expected ts, open, high, low, close, volume")
    names = ("open", "high", "low", "close", "volume")
    open_, high, low, close, volume = (parse_number(name, value) for name, value in zip(names, row[1:6], strict=True))
    bar = Bar(exchange, symbol, interval, parse_timestamp(row[0]), open_, high, low, close, volume, closed)
    if problem := bar_problem(bar):
        raise ValueError(problem)
    return bar


def _to_bar_fast(exchange: str, symbol: str, interval: str, row: list[Any], closed: bool) -> Bar | None:
    """The bar of a candle whose values are all valid, checked at once; None where a check by field has to decide."""
    if len(row) != 6:
        return None
    ts, open_, high, low, close, volume = row
    if not (type(open_) is type(high) is type(low) is type(close) is type(volume) is float and type(ts) is int):
        return None
    if not (-math.inf < low <= open_ <= high < math.inf and low <= close <= high and 0 <= volume < math.inf):
        return None
    if not 0 <= ts < TS_END or ts != BAR_LENGTHS[interval].open_of(ts):
        return None
    return Bar(exchange, symbol, interval, ts, open_, high, low, close, volume, closed)


def to_ticker(exchange: str, symbol: str, row: dict[str, Any], now: int) -> Ticker:
    """From ccxt's ticker structure. ``now``, milliseconds UTC, is its time where the exchange sends none."""
    price = row["last"] if row.get("last") is not None else row.get("close")
    timestamp = row.get("timestamp")
    ts = now if timestamp is None else parse_timestamp(timestamp)
    rest = (optional_number(row.get(name)) for name in ("baseVolume", "high", "low", "bid", "ask"))
    return Ticker(exchange, symbol, ts, parse_number("last", price), *rest)


def to_listing(exchange: str, symbol: str, market: Mapping[str, Any], precision_mode: int, at: int) -> Listing:
    """From ccxt's market structure, at the time ``at``, milliseconds UTC.

    ``precision_mode`` is the exchange's, one of ccxt's constants. Base and quote come from the symbol where the
    structure lacks them.
    """
    base, _, quote = symbol.partition(":")[0].partition("/")
    precision = market.get("precision") or {}
    return Listing(
        exchange,
        symbol,
        str(market.get("base") or base),
        str(market.get("quote") or quote),
        at,
        _step(precision.get("price"), precision_mode),
        _step(precision.get("amount"), precision_mode),
    )


def _step(precision: Any, precision_mode: int) -> float | None:
    """The smallest change, from a tick size or a number of decimals; None for significant digits."""
    if not isinstance(precision, int | float) or isinstance(precision, bool) or not math.isfinite(precision):
        return None
    if precision_mode == ccxt.TICK_SIZE:
        return float(precision) if precision > 0 else None
    if precision_mode == ccxt.DECIMAL_PLACES and abs(precision) <= 18:
        return float(f"1e{-int(precision)}")
    return None
