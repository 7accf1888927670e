"""The catalogue: symbols with their stored series, and the latest bar of each series. Times are milliseconds UTC."""

from __future__ import annotations

from typing import Any

from tapedeck_gateway.store.pool import Pool, connection_of

SERIES_MAX = 10_000

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

# One look-up in the primary key per series.
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
    """Every symbol with bars: currencies, price and amount steps (None if no exchange listed them), and its series."""
    with connection_of(pool) as connection:
        rows = connection.execute(_SYMBOLS, {"exchange": exchange, "limit": limit}).fetchall()
    return [_symbol(*row) for row in rows]


def latest(pool: Pool, exchange: str = "", limit: int = SERIES_MAX) -> list[dict[str, Any]]:
    """The last closed bar of every series."""
    with connection_of(pool) as connection:
        rows = connection.execute(_LATEST, {"exchange": exchange, "limit": limit}).fetchall()
    return [dict(zip(_BAR, row, strict=True)) for row in rows]


def price_step(pool: Pool, exchange: str, symbol: str) -> float | None:
    """The smallest change of a symbol's price; None if no exchange listed it."""
    query = "SELECT price_step FROM listings WHERE exchange = %s AND symbol = %s"
    with connection_of(pool) as connection:
        row = connection.execute(query, (exchange, symbol)).fetchone()
    return None if row is None else row[0]


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
    currencies = symbol.partition(":")[0].partition("/")  # ccxt's unified names are BASE/QUOTE:SETTLE
    return {
        "exchange": exchange,
        "symbol": symbol,
        "base": base if base is not None else currencies[0],
        "quote": quote if quote is not None else currencies[2],
        "price_step": price,
        "amount_step": amount,
        "series": [
            {"interval": interval, "first": first, "last": last}
            for interval, first, last in zip(intervals, firsts, lasts, strict=True)
        ],
    }
