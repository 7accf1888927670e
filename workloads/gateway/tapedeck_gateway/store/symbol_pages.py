"""The symbols of the store, with the spans of their series, trades and tickers. Times are milliseconds UTC.

``recorded`` has the limits of markets that replays record, as in ``catalogue``; None where they are not known: then all
these markets are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from psycopg import sql

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import ALWAYS_OPEN
from tapedeck_gateway.api_types.market import (
    ExchangeSummary,
    SessionHours,
    StoredSeries,
    StoredSymbol,
    TimeSpan,
)
from tapedeck_gateway.store.catalogue import Markets
from tapedeck_gateway.store.page import rows_of
from tapedeck_gateway.store.pool import Pool

_CHOSEN = sql.SQL("""
    (%(exchange)s::text = '' OR exchange = %(exchange)s) AND (%(recorded)s OR NOT starts_with(exchange, %(prefix)s))
    AND strpos(lower(exchange || ':' || symbol), lower(%(search)s::text)) > 0
""")
# bar_series is short; of the other tables each step is one look-up in the primary key.
_STEPS = sql.SQL("""{name}(exchange, symbol) AS (
    (SELECT exchange, symbol FROM {table} WHERE (exchange, symbol) > (%(after_exchange)s, %(after_symbol)s)
     ORDER BY exchange, symbol LIMIT 1)
    UNION ALL
    SELECT n.exchange, n.symbol FROM {name} AS f, LATERAL (
        SELECT exchange, symbol FROM {table} WHERE (exchange, symbol) > (f.exchange, f.symbol)
        ORDER BY exchange, symbol LIMIT 1
    ) AS n
)""")
_NAMES = sql.SQL("""
WITH RECURSIVE {of_trades}, {of_tickers}
(SELECT DISTINCT exchange, symbol FROM bar_series
 WHERE (exchange, symbol) > (%(after_exchange)s, %(after_symbol)s) AND {chosen} ORDER BY 1, 2 LIMIT %(limit)s)
UNION (SELECT exchange, symbol FROM of_trades WHERE {chosen} LIMIT %(limit)s)
UNION (SELECT exchange, symbol FROM of_tickers WHERE {chosen} LIMIT %(limit)s)
ORDER BY 1, 2 LIMIT %(limit)s
""").format(
    of_trades=_STEPS.format(name=sql.Identifier("of_trades"), table=sql.Identifier("trades")),
    of_tickers=_STEPS.format(name=sql.Identifier("of_tickers"), table=sql.Identifier("tickers")),
    chosen=_CHOSEN,
)
# All names, without pages: the steps are as many as there are symbols.
_COUNTS = sql.SQL("""
WITH RECURSIVE {of_trades}, {of_tickers}
SELECT exchange, count(*)::int8 FROM (
    SELECT exchange, symbol FROM bar_series
    UNION SELECT exchange, symbol FROM of_trades
    UNION SELECT exchange, symbol FROM of_tickers
) AS names GROUP BY 1 ORDER BY 1
""").format(
    of_trades=_STEPS.format(name=sql.Identifier("of_trades"), table=sql.Identifier("trades")),
    of_tickers=_STEPS.format(name=sql.Identifier("of_tickers"), table=sql.Identifier("tickers")),
)
_DETAILS = """
SELECT n.exchange, n.symbol, l.base, l.quote, l.price_step, l.amount_step, h.timezone, h.open, h.close, h.days,
       (extract(epoch FROM t.first) * 1000)::int8, (extract(epoch FROM t.last) * 1000)::int8,
       (extract(epoch FROM k.first) * 1000)::int8, (extract(epoch FROM k.last) * 1000)::int8
FROM unnest(%(exchanges)s::text[], %(symbols)s::text[], %(untils)s::int8[]) AS n(exchange, symbol, until)
LEFT JOIN listings AS l USING (exchange, symbol)
LEFT JOIN sessions AS h USING (exchange, symbol),
LATERAL (
    SELECT min(ts) AS first, max(ts) AS last FROM trades
    WHERE exchange = n.exchange AND symbol = n.symbol AND ts <= to_timestamp(n.until / 1000.0)
) AS t, LATERAL (
    SELECT min(ts) AS first, max(ts) AS last FROM tickers
    WHERE exchange = n.exchange AND symbol = n.symbol AND ts <= to_timestamp(n.until / 1000.0)
) AS k
"""
_SERIES = """
SELECT s.exchange, s.symbol, s.interval, (extract(epoch FROM s.first_ts) * 1000)::int8,
       (extract(epoch FROM CASE WHEN s.last_ts <= to_timestamp(b.last_open / 1000.0) THEN s.last_ts ELSE (
           SELECT max(ts) FROM bars WHERE bars.exchange = s.exchange AND bars.symbol = s.symbol
               AND bars.interval = s.interval AND bars.ts <= to_timestamp(b.last_open / 1000.0)
       ) END) * 1000)::int8,
       CASE WHEN %(counts)s THEN (
           SELECT count(*) FROM bars WHERE bars.exchange = s.exchange AND bars.symbol = s.symbol
               AND bars.interval = s.interval AND bars.ts <= to_timestamp(b.last_open / 1000.0)
       ) END
FROM unnest(%(exchanges)s::text[], %(symbols)s::text[], %(intervals)s::text[], %(last_opens)s::int8[])
    AS b(exchange, symbol, interval, last_open)
JOIN bar_series AS s USING (exchange, symbol, interval)
ORDER BY s.exchange, s.symbol, s.last_ts - s.first_ts DESC, s.interval
"""


class SymbolName(NamedTuple):
    """A symbol of an exchange."""

    exchange: str
    symbol: str


def symbol_names(
    pool: Pool, recorded: Markets | None, exchange: str, search: str, after: SymbolName, limit: int
) -> list[SymbolName]:
    """The first ``limit`` symbols after one, by exchange and name, that contain a text and have any data."""
    values = {
        "exchange": exchange,
        "search": search,
        "after_exchange": after.exchange,
        "after_symbol": after.symbol,
        "recorded": recorded is not None,
        "prefix": RECORDED_PREFIX,
        "limit": limit,
    }
    return [SymbolName(*row) for row in rows_of(pool, _NAMES, values)]


def exchange_summaries(pool: Pool) -> list[ExchangeSummary]:
    """Every exchange with the number of its symbols. Names tell nothing of a future."""
    return [ExchangeSummary(*row) for row in rows_of(pool, _COUNTS, {"after_exchange": "", "after_symbol": ""})]


def stored_symbols(
    pool: Pool, names: list[SymbolName], until_of: Callable[[str], int], *, counts: bool
) -> list[StoredSymbol]:
    """What the store has of these symbols, up to the limit of their exchange; without those that have nothing then."""
    if not names:
        return []
    untils = [until_of(name.exchange) for name in names]
    series = _series(pool, names, untils, counts=counts)
    rows = rows_of(
        pool,
        _DETAILS,
        {"exchanges": [n.exchange for n in names], "symbols": [n.symbol for n in names], "untils": untils},
    )
    by_name = {SymbolName(row[0], row[1]): row for row in rows}
    found = [_symbol(by_name[name], series.get(name, [])) for name in names]
    return [each for each in found if each.series or each.trades or each.tickers]


def _series(
    pool: Pool, names: list[SymbolName], untils: list[int], *, counts: bool
) -> dict[SymbolName, list[StoredSeries]]:
    bounds = [
        (name, interval, length.open_of(until) - 1)
        for name, until in zip(names, untils, strict=True)
        for interval, length in BAR_LENGTHS.items()
    ]
    values = {
        "exchanges": [name.exchange for name, _, _ in bounds],
        "symbols": [name.symbol for name, _, _ in bounds],
        "intervals": [interval for _, interval, _ in bounds],
        "last_opens": [last_open for _, _, last_open in bounds],
        "counts": counts,
    }
    found: dict[SymbolName, list[StoredSeries]] = {}
    for exchange, symbol, interval, first, last, bars in rows_of(pool, _SERIES, values):
        if last is not None:
            found.setdefault(SymbolName(exchange, symbol), []).append(StoredSeries(interval, first, last, bars))
    return found


def _symbol(row: tuple[Any, ...], series: list[StoredSeries]) -> StoredSymbol:
    exchange, symbol, base, quote, price_step, amount_step, zone, opens, closes, days, *spans = row
    currencies = symbol.partition(":")[0].partition("/")  # ccxt's unified names are BASE/QUOTE:SETTLE
    hours = (zone, opens, closes, days) if zone is not None else tuple(ALWAYS_OPEN.model_dump().values())
    return StoredSymbol(
        symbol=f"{exchange}:{symbol}",
        exchange=exchange,
        name=symbol,
        base=base if base is not None else currencies[0],
        quote=quote if quote is not None else currencies[2],
        price_step=price_step,
        amount_step=amount_step,
        session=SessionHours(*hours),
        series=series,
        trades=_span(*spans[:2]),
        tickers=_span(*spans[2:]),
    )


def _span(first: int | None, last: int | None) -> TimeSpan | None:
    return None if first is None or last is None else TimeSpan(first, last)
