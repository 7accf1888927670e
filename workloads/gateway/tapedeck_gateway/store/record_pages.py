"""Trades, tickers and points of a symbol in pages, up to the event time ``until``: see ``future``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.page import Page, Place, rows_after
from tapedeck_gateway.store.pool import Pool

_RANGE = sql.SQL("ts >= to_timestamp(%(start)s::int8 / 1000.0) AND ts < to_timestamp(%(end)s::int8 / 1000.0)")
_AFTER = sql.SQL(
    "(ts, seq, length(id), id)"
    " > (to_timestamp(%(ts)s::int8 / 1000.0), %(seq)s::int4, %(digits)s::int4, %(id)s::text)"
    " ORDER BY ts, seq, length(id), id LIMIT %(limit)s"
)
_TRADES = sql.SQL("""
SELECT (date_part('epoch', ts) * 1000)::int8, seq, id, price, amount, side FROM trades
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND {range} AND {after}
""").format(range=_RANGE, after=_AFTER)
_TICKERS = sql.SQL("""
SELECT (date_part('epoch', ts) * 1000)::int8, price, volume24h, high24h, low24h, bid, ask FROM tickers
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND {range} ORDER BY ts LIMIT %(limit)s
""").format(range=_RANGE)
_POINTS = sql.SQL("""
SELECT (date_part('epoch', ts) * 1000)::int8, seq, id, value, open, high, low, volume FROM points
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND interval = %(interval)s AND series = %(series)s
  AND value IS NOT NULL AND {range} AND {after}
""").format(range=_RANGE, after=_AFTER)


@dataclass(frozen=True)
class RecordRange:
    """Rows of one symbol with times in [start, end), none later than ``until``."""

    pool: Pool
    symbol: ChartSymbol
    start: int
    end: int
    until: int

    def trades(self, place: Place | None, limit: int) -> Page:
        """Trades after a place = (ts, seq, id)."""
        return rows_after(self.pool, _TRADES, self._values(place), limit, _trade_place)

    def tickers(self, place: Place | None, limit: int) -> Page:
        """Tickers after a place = (ts,)."""
        start = self.start if place is None else int(place[0]) + 1
        return rows_after(self.pool, _TICKERS, {**self._values(None), "start": start}, limit, lambda row: (row[0],))

    def points(self, interval: str, place: Place | None, limit: int) -> Page:
        """Results of the symbol's transform after a place = (ts, seq, id); those of bars are known at their close."""
        # The last open whose bar is over by the limit, or the last time of a trade.
        known = BAR_LENGTHS[interval].open_of(self.until) if interval else self.until + 1
        values = {**self._values(place), "interval": interval, "series": self.symbol.series}
        values["end"] = min(self.end, known)
        page = rows_after(self.pool, _POINTS, values, limit, _trade_place)
        return page._replace(columns=[column for i, column in enumerate(page.columns) if i != 1])  # without seq

    def _values(self, place: Place | None) -> dict[str, object]:
        ts, seq, id_ = place if place is not None else (self.start, -1, "")
        return {
            "exchange": self.symbol.exchange,
            "symbol": self.symbol.symbol,
            "start": ts,
            "end": min(self.end, self.until + 1),
            "ts": ts,
            "seq": seq,
            "digits": len(str(id_)),
            "id": id_,
        }


def _trade_place(row: tuple[Any, ...]) -> Place:
    return (row[0], row[1], row[2])
