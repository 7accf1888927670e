"""The symbols of the store: what has bars, trades, tickers or results of transforms, and how much of it is traded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from psycopg import sql

from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import Session
from tapedeck_gateway.charts.symbol_index import MarketSymbol
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.pool import Pool, connection_of

SERIES_MAX = 100_000
SAMPLED_BARS = 1_000  # their volume tells how much of a symbol is traded

Key: TypeAlias = tuple[str, str]
"""Exchange and symbol."""
TickTable = Literal["trades", "tickers"]


class ListedSeries(NamedTuple):
    """A symbol with bars, or that a Feed told of. The session is (time zone, open, close, days)."""

    exchange: str
    symbol: str
    intervals: list[str]
    price_step: float | None
    session: tuple[str, str, str, list[str]] | None


_LISTED = """
SELECT exchange, symbol, coalesce(intervals, '{}'), price_step, timezone, open, close, days
FROM (SELECT exchange, symbol, array_agg(interval ORDER BY interval) AS intervals FROM bar_series GROUP BY 1, 2) AS b
FULL JOIN listings USING (exchange, symbol) FULL JOIN sessions USING (exchange, symbol)
ORDER BY exchange, symbol LIMIT %s
"""
# Loose index scans: one look-up in the primary key per series instead of a scan of all rows.
_TICKS = sql.SQL("""
WITH RECURSIVE found AS (
    (SELECT exchange, symbol FROM {table} ORDER BY exchange, symbol LIMIT 1)
    UNION ALL
    SELECT n.exchange, n.symbol FROM found AS f, LATERAL (
        SELECT exchange, symbol FROM {table} WHERE (exchange, symbol) > (f.exchange, f.symbol)
        ORDER BY exchange, symbol LIMIT 1
    ) AS n
)
SELECT exchange, symbol FROM found LIMIT %s
""")
_POINTS = """
WITH RECURSIVE found AS (
    (SELECT exchange, symbol, interval, series FROM points ORDER BY exchange, symbol, interval, series LIMIT 1)
    UNION ALL
    SELECT n.exchange, n.symbol, n.interval, n.series FROM found AS f, LATERAL (
        SELECT exchange, symbol, interval, series FROM points
        WHERE (exchange, symbol, interval, series) > (f.exchange, f.symbol, f.interval, f.series)
        ORDER BY exchange, symbol, interval, series LIMIT 1
    ) AS n
)
SELECT exchange, symbol, series FROM found LIMIT %s
"""
_VOLUME = """
SELECT interval, sum(volume), (extract(epoch FROM max(ts) - min(ts)))::float8 FROM (
    SELECT interval, volume, ts FROM bars WHERE exchange = %s AND symbol = %s AND interval = (
        SELECT interval FROM bar_series WHERE exchange = %s AND symbol = %s ORDER BY last_ts DESC, interval LIMIT 1
    ) ORDER BY ts DESC LIMIT %s
) AS newest GROUP BY 1
"""


def listed_series(pool: Pool) -> list[ListedSeries]:
    """The symbols with bars, and those that Feeds told of, in order."""
    with connection_of(pool) as connection:
        return [
            ListedSeries(exchange, symbol, intervals, step, None if zone is None else (zone, opens, closes, days))
            for exchange, symbol, intervals, step, zone, opens, closes, days in connection.execute(
                _LISTED, (SERIES_MAX,)
            )
        ]


def tick_series(pool: Pool, table: TickTable) -> list[Key]:
    """The (exchange, symbol) of every symbol with trades, or with tickers."""
    with connection_of(pool) as connection:
        return connection.execute(_TICKS.format(table=sql.Identifier(table)), (SERIES_MAX,)).fetchall()


def point_series(pool: Pool) -> list[tuple[str, str, str]]:
    """The (exchange, symbol, series) of every series of results of transforms."""
    with connection_of(pool) as connection:
        return connection.execute(_POINTS, (SERIES_MAX,)).fetchall()


def market_symbols(
    listed: Iterable[ListedSeries],
    trades: Iterable[Key],
    tickers: Iterable[Key],
    points: Iterable[tuple[str, str, str]],
) -> list[MarketSymbol]:
    """The symbols that have any of these, in order."""
    known = {(each.exchange, each.symbol): each for each in listed}
    with_trades, with_tickers = set(trades), set(tickers)
    series: dict[Key, set[str]] = {}
    for exchange, symbol, name in points:
        series.setdefault((exchange, symbol), set()).add(name)

    def market(key: Key) -> MarketSymbol:
        each = known.get(key) or ListedSeries(*key, [], None, None)
        session = None if each.session is None else _session(*each.session[:3], tuple(each.session[3]))
        names = tuple(sorted(series.get(key, ())))
        has_trades, has_tickers = key in with_trades, key in with_tickers
        return MarketSymbol(*key, tuple(each.intervals), has_trades, has_tickers, names, each.price_step, session)

    return [market(key) for key in sorted({*known, *with_trades, *with_tickers, *series})]


@lru_cache(maxsize=1_000)  # markets of an exchange have few different ones
def _session(timezone: str, opens: str, closes: str, days: tuple[str, ...]) -> Session:
    return Session.model_validate({"timezone": timezone, "open": opens, "close": closes, "days": list(days)})


def traded_per_second(pool: Pool, symbol: ChartSymbol) -> float:
    """The volume of a symbol's newest bars by their time, in the base currency; 0 without bars."""
    key = (symbol.exchange, symbol.symbol)
    with connection_of(pool) as connection:
        row = connection.execute(_VOLUME, (*key, *key, SAMPLED_BARS)).fetchone()
    if row is None:
        return 0.0
    interval, volume, seconds = row
    return float(volume / (seconds + BAR_LENGTHS[interval].ms / 1000))
