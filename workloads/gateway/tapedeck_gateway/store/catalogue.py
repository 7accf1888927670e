"""The catalogue: symbols with their stored series, and the latest bar of each series. Times are milliseconds UTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from psycopg import sql

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_common.store.catalogue import sessions
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import ALWAYS_OPEN, Session
from tapedeck_gateway.store.pool import Pool, connection_of

SERIES_MAX = 10_000

# The series as a reader sees them: one that a replay records ends at the last bar that closed by the limit.
_SEEN = sql.SQL("""
WITH bounds AS (
    SELECT * FROM unnest(%(markets)s::text[], %(intervals)s::text[], %(last_opens)s::int8[])
        AS b(exchange, interval, last_open)
), seen AS (
    SELECT s.exchange, s.symbol, s.interval, s.first_ts,
           CASE WHEN b.last_open IS NULL OR s.last_ts <= to_timestamp(b.last_open / 1000.0) THEN s.last_ts ELSE (
               SELECT max(ts) FROM bars WHERE bars.exchange = s.exchange AND bars.symbol = s.symbol
                   AND bars.interval = s.interval AND bars.ts <= to_timestamp(b.last_open / 1000.0)
           ) END AS last_ts
    FROM bar_series AS s LEFT JOIN bounds AS b USING (exchange, interval)
    WHERE (%(exchange)s = '' OR exchange = %(exchange)s) AND (%(recorded)s OR NOT starts_with(exchange, %(prefix)s))
)
""")
# In the order of the primary key, so that a limit cuts whole symbols off the end.
_SYMBOLS = sql.SQL("""
{seen}
SELECT exchange, symbol, base, quote, price_step, amount_step,
       session,
       array_agg(interval ORDER BY last_ts - first_ts DESC, interval),
       array_agg((extract(epoch FROM first_ts) * 1000)::int8 ORDER BY last_ts - first_ts DESC, interval),
       array_agg((extract(epoch FROM last_ts) * 1000)::int8 ORDER BY last_ts - first_ts DESC, interval)
FROM seen LEFT JOIN listings USING (exchange, symbol) LEFT JOIN (
    SELECT exchange, symbol,
           jsonb_build_object('timezone', timezone, 'open', open, 'close', close, 'days', days) AS session FROM sessions
) AS s USING (exchange, symbol)
WHERE last_ts IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2 LIMIT %(limit)s
""").format(seen=_SEEN)

# One look-up in the primary key per series.
_LATEST = sql.SQL("""
{seen}
SELECT s.exchange, s.symbol, s.interval, (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume, rev,
       source
FROM (SELECT * FROM seen WHERE last_ts IS NOT NULL ORDER BY exchange, symbol, interval LIMIT %(limit)s) AS s
CROSS JOIN LATERAL (
    SELECT ts, open, high, low, close, volume, rev, source FROM bars
    WHERE bars.exchange = s.exchange AND bars.symbol = s.symbol AND bars.interval = s.interval AND bars.ts = s.last_ts
) AS latest
ORDER BY s.exchange, s.symbol, s.interval
""").format(seen=_SEEN)
_BAR = ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume", "rev", "source")


Markets: TypeAlias = Mapping[str, int]
"""The limit of each market that a replay records, by exchange id: see ``future``."""


def symbols(pool: Pool, recorded: Markets | None, exchange: str = "", limit: int = SERIES_MAX) -> list[dict[str, Any]]:
    """Every symbol with bars: currencies, steps (None if no exchange listed them), session and series.

    ``recorded`` is None where the limits are not known: all markets of replays are then left out.
    """
    with connection_of(pool) as connection:
        rows = connection.execute(_SYMBOLS, _values(recorded, exchange, limit)).fetchall()
    return [_symbol(*row) for row in rows]


def latest(pool: Pool, recorded: Markets | None, exchange: str = "", limit: int = SERIES_MAX) -> list[dict[str, Any]]:
    """The last closed bar of every series; ``recorded`` as for ``symbols``."""
    with connection_of(pool) as connection:
        rows = connection.execute(_LATEST, _values(recorded, exchange, limit)).fetchall()
    return [dict(zip(_BAR, row, strict=True)) for row in rows]


def _values(recorded: Markets | None, exchange: str, limit: int) -> dict[str, object]:
    bounds = [
        (market, interval, length.open_of(until) - 1)
        for market, until in (recorded or {}).items()
        for interval, length in BAR_LENGTHS.items()
    ]
    return {
        "markets": [market for market, _, _ in bounds],
        "intervals": [interval for _, interval, _ in bounds],
        "last_opens": [last_open for _, _, last_open in bounds],
        "recorded": recorded is not None,
        "prefix": RECORDED_PREFIX,
        "exchange": exchange,
        "limit": limit,
    }


def price_step(pool: Pool, exchange: str, symbol: str) -> float | None:
    """The smallest change of a symbol's price; None if no exchange listed it."""
    query = "SELECT price_step FROM listings WHERE exchange = %s AND symbol = %s"
    with connection_of(pool) as connection:
        row = connection.execute(query, (exchange, symbol)).fetchone()
    return None if row is None else row[0]


def session(pool: Pool, exchange: str, symbol: str) -> Session:
    """When the symbol trades."""
    with connection_of(pool) as connection:
        return sessions(connection, exchange, [symbol]).get(symbol, ALWAYS_OPEN)


def _symbol(
    exchange: str,
    symbol: str,
    base: str | None,
    quote: str | None,
    price: float | None,
    amount: float | None,
    session: dict[str, Any] | None,
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
        "session": session or ALWAYS_OPEN.model_dump(),
        "series": [
            {"interval": interval, "first": first, "last": last}
            for interval, first, last in zip(intervals, firsts, lasts, strict=True)
        ],
    }
