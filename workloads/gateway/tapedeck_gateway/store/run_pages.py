"""The rows of a run in pages, up to an event time, as ``future`` limits it. Times are milliseconds UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from tapedeck_gateway.store.page import Page, Place, rows_after
from tapedeck_gateway.store.pool import Pool

_EQUITY = """
SELECT seq, (date_part('epoch', ts) * 1000)::int8, value, cash, change_percent, drawdown_percent, sharpe
FROM run_equity
WHERE run_id = %(id)s AND seq > %(after)s AND ts <= to_timestamp(%(until)s::int8 / 1000.0) ORDER BY seq LIMIT %(limit)s
"""
_CURVE = """
SELECT seq, (date_part('epoch', ts) * 1000)::int8, value, cash, change_percent, drawdown_percent, sharpe
FROM equity_curve(
    %(id)s, '{value,drawdown_percent}', %(points)s::int4, %(after)s, to_timestamp(%(until)s::int8 / 1000.0)
) ORDER BY seq LIMIT %(limit)s
"""
_TRADES = """
SELECT seq, symbol, side, size, (date_part('epoch', entry_ts) * 1000)::int8, entry_price,
       (date_part('epoch', exit_ts) * 1000)::int8, exit_price, pnl, pnl_net, commission, entry_reason, exit_reason
FROM run_trades
WHERE run_id = %(id)s AND seq > %(after)s AND exit_ts <= to_timestamp(%(until)s::int8 / 1000.0)
ORDER BY seq LIMIT %(limit)s
"""
_FILLS = """
SELECT seq, symbol, (date_part('epoch', ts) * 1000)::int8, side, size, price
FROM run_fills
WHERE run_id = %(id)s AND seq > %(after)s AND ts <= to_timestamp(%(until)s::int8 / 1000.0) ORDER BY seq LIMIT %(limit)s
"""


@dataclass(frozen=True)
class RunRows:
    """The rows of one run; a place is (seq,)."""

    pool: Pool
    run_id: str
    until: int

    def equity(self, place: Place | None, limit: int) -> Page:
        """Points of the equity curve."""
        return self._page(_EQUITY, place, limit)

    def curve(self, points: int, _place: Place | None, _limit: int) -> Page:
        """At most so many points of the equity curve, with its ends and its extremes, in one page."""
        page = self._page(_CURVE, None, points, points=points)
        return page._replace(next=None)

    def trades(self, place: Place | None, limit: int) -> Page:
        """Closed trades."""
        return self._page(_TRADES, place, limit)

    def fills(self, place: Place | None, limit: int) -> Page:
        """Fills of orders."""
        return self._page(_FILLS, place, limit)

    def _page(self, query: LiteralString, place: Place | None, limit: int, **more: object) -> Page:
        values = {"id": self.run_id, "after": -1 if place is None else place[0], "until": self.until, **more}
        return rows_after(self.pool, query, values, limit, lambda row: (row[0],))
