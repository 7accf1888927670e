"""What an exchange says of a symbol, from ccxt's market structure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ccxt

from tapedeck_common.records import Listing


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
