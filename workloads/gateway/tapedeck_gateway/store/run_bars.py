"""What the bars of a run's market say of it: buy-and-hold, and excursions of trades. Times are milliseconds UTC.

``until`` is the last event time that a reader may see: see ``future``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from tapedeck_crds.errors import NotFound
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.api_types.run_details import HoldPoint
from tapedeck_gateway.charts.intervals import source_length
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.store.bar_pages import stored_intervals
from tapedeck_gateway.store.page import Page, Place, rows_after, rows_of
from tapedeck_gateway.store.pool import Pool

_SPAN = """
SELECT (SELECT (date_part('epoch', ts) * 1000)::int8 FROM run_equity WHERE run_id = %(id)s ORDER BY seq LIMIT 1),
       (SELECT (date_part('epoch', ts) * 1000)::int8 FROM run_equity WHERE run_id = %(id)s ORDER BY seq DESC LIMIT 1)
"""
# A stored bar is known when it has closed: its open is its length before that. Months have lengths of their own.
_FIRST_CLOSES = """
SELECT s.n, b.close
FROM unnest(%(symbols)s::text[], %(intervals)s::text[], %(lengths)s::text[])
     WITH ORDINALITY AS s(symbol, interval, length, n)
CROSS JOIN LATERAL (
    SELECT close FROM bars
    WHERE exchange = %(exchange)s AND symbol = s.symbol AND interval = s.interval
      AND ts >= to_timestamp(%(first)s::int8 / 1000.0) - s.length::interval
      AND ts <= to_timestamp(%(until)s::int8 / 1000.0) - s.length::interval
    ORDER BY ts LIMIT 1
) AS b ORDER BY s.n
"""
_CLOSES = """
SELECT (date_part('epoch', e.ts) * 1000)::int8, s.n, b.close
FROM equity_curve(%(id)s, '{value,drawdown_percent}', %(points)s::int4, -1, to_timestamp(%(until)s::int8 / 1000.0)) AS e
CROSS JOIN unnest(%(symbols)s::text[], %(intervals)s::text[], %(lengths)s::text[])
     WITH ORDINALITY AS s(symbol, interval, length, n)
CROSS JOIN LATERAL (
    SELECT close FROM bars
    WHERE exchange = %(exchange)s AND symbol = s.symbol AND interval = s.interval
      AND ts >= to_timestamp(%(first)s::int8 / 1000.0) - s.length::interval AND ts <= e.ts - s.length::interval
    ORDER BY ts DESC LIMIT 1
) AS b
ORDER BY e.seq, s.n
"""
# The run's bar of the entry opens its length before the entry's event time. Within it there may be finer stored bars.
_EXCURSIONS = """
SELECT seq, lowest, highest,
       CASE WHEN entry_price <= 0 THEN NULL WHEN side = 'short' THEN 1 - highest / entry_price
            ELSE lowest / entry_price - 1 END * 100,
       CASE WHEN entry_price <= 0 THEN NULL WHEN side = 'short' THEN 1 - lowest / entry_price
            ELSE highest / entry_price - 1 END * 100
FROM (
    SELECT t.seq, t.side, t.entry_price, least(t.entry_price, t.exit_price, b.low) AS lowest,
           greatest(t.entry_price, t.exit_price, b.high) AS highest
    FROM run_trades AS t
    JOIN unnest(%(symbols)s::text[], %(intervals)s::text[]) AS s(symbol, interval) ON s.symbol = t.symbol
    CROSS JOIN LATERAL (
        SELECT min(low) AS low, max(high) AS high FROM bars
        WHERE exchange = %(exchange)s AND symbol = t.symbol AND interval = s.interval
          AND ts >= t.entry_ts - %(length)s::interval AND ts < t.exit_ts - %(length)s::interval
    ) AS b
    WHERE t.run_id = %(id)s AND t.seq > %(after)s AND t.exit_ts <= to_timestamp(%(until)s::int8 / 1000.0)
    ORDER BY t.seq LIMIT %(limit)s
) AS held ORDER BY seq
"""
LOOKUPS_MAX = 20_000  # closes of a buy-and-hold curve


class RunSpan(NamedTuple):
    """The first and the last event time of a run's equity curve."""

    first: int
    last: int


@dataclass(frozen=True)
class RunBars:
    """The stored bars that a run's bars are, or are made of: an interval for each symbol that has some."""

    pool: Pool
    run_id: str
    exchange: str
    length: BarLength
    bases: Mapping[str, BarLength]
    span: RunSpan

    def hold(self, cash: float, points: int, until: int) -> list[HoldPoint]:
        """The account after buying equal parts of the symbols at their first closes, at points of the equity curve."""
        values = {**self._values, "first": self.span.first, "until": until}
        bought = {n: close for n, close in rows_of(self.pool, _FIRST_CLOSES, values) if close > 0}
        thinned = {**values, "points": max(min(points, LOOKUPS_MAX // len(self.bases)), 6)}
        rows = rows_of(self.pool, _CLOSES, thinned)
        return hold_points(cash, bought, rows)

    def excursions(self, until: int, place: Place | None, limit: int) -> Page:
        """Excursions of the first trades after a place = (seq,)."""
        values = {
            **self._values,
            "length": _length_text(self.length),
            "until": until,
            "after": -1 if place is None else place[0],
        }
        return rows_after(self.pool, _EXCURSIONS, values, limit, lambda row: (row[0],))

    @property
    def _values(self) -> dict[str, object]:
        return {
            "id": self.run_id,
            "exchange": self.exchange,
            "symbols": list(self.bases),
            "intervals": [base.interval for base in self.bases.values()],
            "lengths": [_length_text(base) for base in self.bases.values()],
        }


def hold_points(cash: float, bought: Mapping[int, float], rows: Sequence[tuple[int, int, float]]) -> list[HoldPoint]:
    """The account at each time. ``bought`` has the first close of each symbol, ``rows`` (time, symbol, last close).

    The part of a symbol that has not been bought yet is cash; one whose first close is 0 or below has no part.
    """
    if not bought:
        return []
    part = cash / len(bought)
    points = []
    for ts, of_time in groupby(rows, key=lambda row: row[0]):
        known = {n: close for _, n, close in of_time}
        held = sum(known.get(n, first) / first for n, first in bought.items())
        points.append(HoldPoint(ts, part * held))
    return points


def run_bars(pool: Pool, run_id: str, exchange: str, symbols: Sequence[str], interval: str) -> RunBars | None:
    """The stored bars of a run; None where the store has none, or the run has no equity yet."""
    ((first, last),) = rows_of(pool, _SPAN, {"id": run_id})
    length = BAR_LENGTHS.get(interval)
    if first is None or length is None:
        return None
    found = {symbol: _base_of(pool, ChartSymbol(exchange, symbol), length, first, last) for symbol in symbols}
    bases = {symbol: base for symbol, base in found.items() if base is not None}
    return RunBars(pool, run_id, exchange, length, bases, RunSpan(first, last)) if bases else None


def _base_of(pool: Pool, symbol: ChartSymbol, length: BarLength, first: int, last: int) -> BarLength | None:
    """The stored bars of the run's range, as the run chose them."""
    try:
        series = stored_intervals(pool, symbol)
    except NotFound:
        return None
    return source_length(length, series, length.open_of(first - 1), last)


def _length_text(length: BarLength) -> str:
    return "1 month" if length.interval == "1M" else f"{length.ms} milliseconds"
