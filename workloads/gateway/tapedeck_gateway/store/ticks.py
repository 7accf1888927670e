"""Bars made of stored trades, or of tickers where there are no trades."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from psycopg import sql
from psycopg.rows import dict_row

from tapedeck_gateway.charts.symbol_index import MarketSymbol
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.grouped_history import GroupedHistory
from tapedeck_gateway.store.pool import Pool, connection_of

_OF = "FROM {} WHERE exchange = %(exchange)s AND symbol = %(symbol)s"
_LAST_TICKER = """
SELECT (extract(epoch FROM ts) * 1000)::int8 AS ts, price, bid, ask, volume24h, high24h, low24h FROM tickers
WHERE exchange = %s AND symbol = %s AND ts <= to_timestamp(%s::int8 / 1000.0) ORDER BY ts DESC LIMIT 1
"""


class StoredTicker(TypedDict):
    """A ticker by column; null is what the exchange did not send."""

    ts: int
    price: float
    bid: float | None
    ask: float | None
    volume24h: float | None
    high24h: float | None
    low24h: float | None


class TradeHistory(GroupedHistory):
    """Bars of trades."""

    _rows = sql.SQL(_OF.format("trades"))
    _prices = sql.SQL(
        "(array_agg(price ORDER BY ts, seq, length(id), id))[1], max(price), min(price),"
        " (array_agg(price ORDER BY ts DESC, seq DESC, length(id) DESC, id DESC))[1]"
    )
    _volume = sql.SQL("sum(amount ORDER BY ts, seq, length(id), id)")

    @property
    def _key(self) -> dict[str, object]:
        return {"exchange": self._symbol.exchange, "symbol": self._symbol.symbol}

    @property
    def _known_until(self) -> int:
        return self._now + 1


class TickerHistory(TradeHistory):
    """Bars of tickers: of their prices, without a volume."""

    _rows = sql.SQL(_OF.format("tickers"))
    _prices = sql.SQL(
        "(array_agg(price ORDER BY ts))[1], max(price), min(price), (array_agg(price ORDER BY ts DESC))[1]"
    )
    _volume = sql.SQL("0::float8")


def tick_history(pool: Pool, symbol: ChartSymbol, market: MarketSymbol) -> Callable[[int], TradeHistory] | None:
    """What makes bars of a market's trades, or of its tickers, as known at a time; None where it has neither."""
    if not (market.has_trades or market.has_tickers):
        return None
    kind = TradeHistory if market.has_trades else TickerHistory
    return lambda now: kind(pool, symbol, now)


def last_ticker(pool: Pool, symbol: ChartSymbol, now: int) -> StoredTicker | None:
    """The last ticker of a symbol that is known at ``now``."""
    with connection_of(pool) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        found = cursor.execute(_LAST_TICKER, (symbol.exchange, symbol.symbol, now)).fetchone()
    return None if found is None else StoredTicker(**found)  # type: ignore[typeddict-item]
