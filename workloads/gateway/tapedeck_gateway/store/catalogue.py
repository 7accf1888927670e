"""What there is to chart: exchanges, symbols, their series, and the latest bar of each at once. Times in ms UTC."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from tapedeck_gateway.context import deck_of
from tapedeck_gateway.store.bars import Pool

router = APIRouter(prefix="/api")
SERIES_MAX = 10_000
Exchange = Annotated[str, Query(max_length=255)]
Limit = Annotated[int, Query(ge=1, le=SERIES_MAX)]

# In the order of the primary key, so that a limit cuts whole symbols off the end.
_SYMBOLS = """
SELECT exchange, symbol, base, quote, price_step, amount_step,
       array_agg(interval ORDER BY last_ts - first_ts DESC, interval),
       array_agg((extract(epoch FROM first_ts) * 1000)::int8 ORDER BY last_ts - first_ts DESC, interval),
       array_agg((extract(epoch FROM last_ts) * 1000)::int8 ORDER BY last_ts - first_ts DESC, interval)
FROM bar_series LEFT JOIN listings USING (exchange, symbol)
WHERE %(exchange)s = '' OR exchange = %(exchange)s
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2 LIMIT %(limit)s
"""

# One look at the primary key for each series.
_LATEST = """
SELECT s.exchange, s.symbol, s.interval, (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume, rev,
       source
FROM (SELECT * FROM bar_series WHERE %(exchange)s = '' OR exchange = %(exchange)s
      ORDER BY exchange, symbol, interval LIMIT %(limit)s) AS s
CROSS JOIN LATERAL (
    SELECT ts, open, high, low, close, volume, rev, source FROM bars
    WHERE bars.exchange = s.exchange AND bars.symbol = s.symbol AND bars.interval = s.interval AND bars.ts = s.last_ts
) AS latest
ORDER BY s.exchange, s.symbol, s.interval
"""
_BAR = ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume", "rev", "source")


def symbols(pool: Pool, exchange: str = "", limit: int = SERIES_MAX) -> list[dict[str, Any]]:
    """Every symbol that has bars: currencies, steps of price and amount where they are known, and its series."""
    with pool.connection() as connection:
        rows = connection.execute(_SYMBOLS, {"exchange": exchange, "limit": limit}).fetchall()
    return [_symbol(*row) for row in rows]


def latest(pool: Pool, exchange: str = "", limit: int = SERIES_MAX) -> list[dict[str, Any]]:
    """The last closed bar of every series."""
    with pool.connection() as connection:
        rows = connection.execute(_LATEST, {"exchange": exchange, "limit": limit}).fetchall()
    return [dict(zip(_BAR, row, strict=True)) for row in rows]


def price_step(pool: Pool, exchange: str, symbol: str) -> float | None:
    """The smallest change of a symbol's price, None where no exchange said."""
    query = "SELECT price_step FROM listings WHERE exchange = %s AND symbol = %s"
    with pool.connection() as connection:
        row = connection.execute(query, (exchange, symbol)).fetchone()
    return None if row is None else row[0]


@router.get("/symbols")
def all_symbols(request: Request, exchange: Exchange = "", limit: Limit = SERIES_MAX) -> Response:
    """The symbols of an exchange, or of all, by name; each with its series: interval, first and last open."""
    return _json(symbols(deck_of(request).pool, exchange, limit))


@router.get("/latest")
def all_latest(request: Request, exchange: Exchange = "", limit: Limit = SERIES_MAX) -> Response:
    """The latest bar of each series of an exchange, or of all, by name."""
    return _json(latest(deck_of(request).pool, exchange, limit))


def _symbol(
    exchange: str,
    symbol: str,
    base: str | None,
    quote: str | None,
    price: float | None,
    amount: float | None,
    intervals: list[str],
    firsts: list[int],
    lasts: list[int],
) -> dict[str, Any]:
    named = symbol.partition(":")[0].partition("/")  # as ccxt's unified names are built: BASE/QUOTE:SETTLE
    return {
        "exchange": exchange,
        "symbol": symbol,
        "base": base if base is not None else named[0],
        "quote": quote if quote is not None else named[2],
        "price_step": price,
        "amount_step": amount,
        "series": [
            {"interval": interval, "first": first, "last": last}
            for interval, first, last in zip(intervals, firsts, lasts, strict=True)
        ],
    }


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
