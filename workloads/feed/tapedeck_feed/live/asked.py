"""Bars that were not seen whole: which they are, and what the exchange says of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from tapedeck_common.market import Bar
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_feed.live.cell import Cell, ends

Fill = Literal["none", "previous"]
DOUBT_MAX = 10_000  # bars that one loss of trades leaves to the exchange


class Asked:
    """The bars of one symbol at one interval, as far as they are known. ``unseen`` has the opens of those that the
    exchange is to be asked for.
    """

    def __init__(self, exchange: str, symbol: str, interval: str, *, fill: Fill = "none") -> None:
        self.interval = interval
        self.step = INTERVAL_MS[interval]
        self.late = 0
        self.beyond = 0
        self.unseen: set[int] = set()
        self._exchange = exchange
        self._symbol = symbol
        self._fill = fill
        self._cells: dict[int, Cell] = {}
        self._next: int | None = None  # open of the first interval that is not closed
        self._last_close: float | None = None
        self._since: int | None = None  # all trades from here on were seen
        self._stated: int | None = None  # open of the newest bar that the exchange itself told

    def doubt(self, since: int, until: int) -> None:
        """Trades of [since, until] are lost: their bars are for the exchange to say, the newest DOUBT_MAX of them."""
        for start in range(since - since % self.step, until + 1, self.step)[-DOUBT_MAX:]:
            cell = self._cells.get(start)
            if cell is None:
                over = self._next is not None and start < self._next
                cell = Cell(math.nan, math.nan, math.nan, math.nan, rev=-1, closed=over, changed=False)
                self._cells[start] = cell
            cell.whole = False
            if cell.closed:
                self.unseen.add(start)

    def corrected(self, bar: Bar) -> list[Bar]:
        """The exchange's word on a bar → what to publish: closed, with the revision that follows; nothing if as known.

        Behind it come the bars that were filled with its close.
        """
        cell = self._cells.get(bar.ts)
        fresh = Cell(bar.open, bar.high, bar.low, bar.close, bar.volume, closed=True, whole=False, changed=False)
        fresh.first, fresh.last = ends(bar.ts, self.step)
        if cell is not None and cell.closed and cell.rev >= 0:
            if cell.values == fresh.values:
                return []
            fresh.rev = cell.rev + 1
        elif cell is None and self._next is not None and bar.ts < min(self._cells, default=self._next):
            fresh.rev = 1  # too old to know what was said of it
        self._cells[bar.ts] = fresh
        if self._next is None or bar.ts >= self._next:
            self._next = bar.ts + self.step
        return [self._bar(bar.ts, fresh), *self._refilled(bar.ts, bar.close)]

    def untraded(self, starts: Iterable[int]) -> list[Bar]:
        """Of these opens the exchange has no bar: those of which nothing is known had no trade, and may be filled."""
        filled: list[Bar] = []
        for start in sorted(starts):
            cell, before = self._cells.get(start), self._cells.get(start - self.step)
            if cell is None or not cell.unknown:
                continue
            if self._fill == "none" or before is None or before.unknown:
                del self._cells[start]
                continue
            cell.open = cell.high = cell.low = cell.close = before.close
            cell.rev = 0
            filled += [self._bar(start, cell), *self._refilled(start, cell.close)]
        return filled

    def give_up(self, starts: Iterable[int]) -> None:
        """The exchange does not say what became of these opens."""
        for start in starts:
            if (cell := self._cells.get(start)) is not None and cell.unknown:
                del self._cells[start]

    def traded(self, starts: Iterable[int]) -> list[int]:
        """Those of these opens in whose interval a trade was seen."""
        return sorted(start for start in starts if (cell := self._cells.get(start)) is not None and cell.first)

    def _refilled(self, start: int, close: float) -> list[Bar]:
        """The closed bars behind an open that were filled with another close than this."""
        changed: list[Bar] = []
        while (following := self._cells.get(start + self.step)) is not None and following.closed:
            if following.first is not None or following.unknown or following.close == close:
                return changed
            start += self.step
            following.open = following.high = following.low = following.close = close
            following.rev += 1
            changed.append(self._bar(start, following))
        if start + self.step == self._next:
            self._last_close = close
        return changed

    def _bar(self, start: int, cell: Cell) -> Bar:
        return Bar(
            self._exchange,
            self._symbol,
            self.interval,
            start,
            cell.open,
            cell.high,
            cell.low,
            cell.close,
            cell.volume,
            cell.closed,
            max(cell.rev, 0),
        )
