"""A market of any number of minute bars, computed on request, with gaps that the test chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exchange.market import Market, Row

MINUTE = 60_000


@dataclass
class CandleMarket(Market):
    """Bars opened in [first, ∞) but in no gap [start, end). Times in milliseconds, multiples of a minute.

    The next ``short`` pages are cut to a third each.
    """

    first: int = 0
    gaps: Sequence[tuple[int, int]] = ()
    short: int = 0

    def candles(self, seconds: int, since: int, until: int, limit: int) -> list[Row]:
        """As Market.candles; only minutes have bars."""
        if seconds != 60:
            return []
        if self.short:
            self.short, limit = self.short - 1, max(limit // 3, 1)
        rows: list[Row] = []
        at = max(-(-since // MINUTE) * MINUTE, self.first)
        for start, end in (*sorted(self.gaps), (until + 1, until + 1)):
            rows += [candle(ts) for ts in range(at, min(start, until + 1, at + (limit - len(rows)) * MINUTE), MINUTE)]
            if len(rows) >= limit:
                break
            at = max(at, end)
        return rows


def candle(ts: int) -> Row:
    """The bar of a minute; every field depends on the minute."""
    number = ts // MINUTE
    low = number % 9_973 + 100
    return ts, f"{low}.25", f"{low}.75", f"{low}.00", f"{low}.50", f"{number % 7 + 1}.125"
