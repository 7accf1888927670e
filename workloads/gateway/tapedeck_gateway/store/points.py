"""Results of transforms as bars, for symbols like coinbase:BTC/USD@sma5. Times are milliseconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from psycopg import sql

from tapedeck_crds.errors import NotFound
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.resolutions import SHORTEST
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.grouped_history import GroupedHistory
from tapedeck_gateway.store.pool import Pool, connection_of

_INTERVALS = """
SELECT DISTINCT interval FROM points WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND series = %(series)s
"""


def interval_of(pool: Pool, symbol: ChartSymbol) -> str | None:
    """The finest interval of a series; empty for results of trades or tickers, None for an unknown series."""
    return finest(intervals_of(pool, symbol))


def intervals_of(pool: Pool, symbol: ChartSymbol) -> list[str]:
    """The intervals of a series, of which empty text stands for results of trades or tickers."""
    with connection_of(pool) as connection:
        return [row[0] for row in connection.execute(_INTERVALS, _key_of(symbol)).fetchall()]


def finest(intervals: Iterable[str]) -> str | None:
    """The shortest interval, empty text before all; None of none."""
    return min(intervals, key=_length_ms, default=None)


def chosen_interval(symbol: ChartSymbol, found: Collection[str], wanted: str | None) -> str:
    """The interval of a series' results that is wanted, the finest where none is. Raises NotFound."""
    chosen = finest(found) if wanted is None else wanted
    if chosen is None or not found:
        raise NotFound(f"series: got {str(symbol)!r}, expected one with results of a transform")
    if chosen not in found:
        names = ", ".join(name or "'' (those of trades)" for name in sorted(found, key=_length_ms))
        raise NotFound(f"interval: got {chosen!r}, expected one that {str(symbol)!r} has results of: {names}")
    return chosen


def _length_ms(interval: str) -> int:
    return BAR_LENGTHS[interval].ms if interval else 0


def base_of(interval: str) -> BarLength:
    """The length of the finest bars that a series of this interval can be shown with.

    Results of trades and tickers have no interval; the shortest resolution shows them.
    """
    return BAR_LENGTHS.get(interval, SHORTEST)


class PointHistory(GroupedHistory):
    """The history of a series of points of an interval, empty for results of trades and tickers."""

    _rows = sql.SQL(
        "FROM points WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s"
        " AND series = %(series)s AND value IS NOT NULL"
    )
    _prices = sql.SQL(
        "(array_agg(coalesce(open, value) ORDER BY ts, seq, length(id), id))[1], max(coalesce(high, value)),"
        " min(coalesce(low, value)), (array_agg(value ORDER BY ts DESC, seq DESC, length(id) DESC, id DESC))[1]"
    )
    _volume = sql.SQL("coalesce(sum(volume), 0)")

    def __init__(self, pool: Pool, symbol: ChartSymbol, interval: str, now: int) -> None:
        super().__init__(pool, symbol, now)
        self._interval = interval

    @property
    def _key(self) -> dict[str, object]:
        return {**_key_of(self._symbol), "interval": self._interval}

    @property
    def _known_until(self) -> int:
        return BAR_LENGTHS[self._interval].open_of(self._now) if self._interval else self._now + 1


def _key_of(symbol: ChartSymbol) -> dict[str, object]:
    return {"exchange": symbol.exchange, "symbol": symbol.symbol, "series": symbol.series}
