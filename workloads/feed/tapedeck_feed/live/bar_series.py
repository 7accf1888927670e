"""Bars of one series out of its trades, in whatever order they come. Pure: time comes in as a parameter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from tapedeck_common.market import Bar, Trade
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_feed.live.bar_builder import Cell, cells_of, ends

KEPT = 240  # closed bars of an interval that a late trade can still correct
FILL_MAX = 100_000  # bars that one silence is filled with
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


class Series(Asked):
    """The bars of one symbol at one interval.

    A trade belongs to the interval of its own time. ``advance`` closes what is over; a trade that comes
    later makes a correction, ``rev`` + 1. A bar whose beginning was not seen is never given as closed:
    ``unseen`` has its open, for others to ask the exchange; so has it those of which nothing was seen at all.
    """

    def prime(self, trades: Iterable[Trade], closed: Mapping[int, Bar], since: int | None) -> None:
        """Go on where a predecessor ended: its closed bars by open, and its trades from ``since`` on, all of them.

        ``since`` is None where there are none.
        """
        self._since = since
        for bar in closed.values():
            cell = Cell(bar.open, bar.high, bar.low, bar.close, bar.volume, rev=bar.rev, closed=True, changed=False)
            cell.first, cell.last = ends(bar.ts, self.step)
            cell.whole = False
            self._cells[bar.ts] = cell
        if closed:
            newest = closed[max(closed)]
            self._next, self._last_close, self._stated = newest.ts + self.step, newest.close, newest.ts
        grown = cells_of(trades, self.step)
        for start, cell in grown.items():
            known = closed.get(start)
            cell.whole = since is not None and start >= since
            if known is None and (self._next is None or start >= self._next):
                self._cells[start] = cell
            elif known is not None and cell.whole:  # all of it is here: late trades can correct it
                cell.rev, cell.closed, cell.changed = known.rev, True, False
                self._cells[start] = cell
        # The predecessor asked for what it had not seen whole, and may have ended before the answer came.
        oldest = min(closed, default=None)
        before = max((start for start in grown if oldest is not None and start < oldest), default=oldest)
        for start in sorted(grown.keys() - closed.keys()):
            if before is not None and self._next is not None and before <= start < self._next:
                self._cells[start] = cell = grown[start]
                cell.rev, cell.closed, cell.whole, cell.changed = -1, True, False, False
                self.unseen.add(start)

    def add(self, trade: Trade) -> list[Bar]:
        """Take a trade; gives the corrected bars where its interval was closed already."""
        start = trade.ts - trade.ts % self.step
        cell = self._cells.get(start)
        if cell is None:
            if self._next is not None and start < self._next:
                return self._late_into_nothing(start, trade)
            if self._since is None:
                self._since = trade.ts
            cell = self._cells[start] = Cell(trade.price, trade.price, trade.price, trade.price)
            cell.whole = start >= self._since
        cell.add(trade)
        return self._correction(start, cell) if cell.closed else []

    def state(self, bar: Bar) -> list[Bar]:
        """Take the exchange's own bar as it stands; gives the correction where it was closed already."""
        self._stated = bar.ts if self._stated is None else max(self._stated, bar.ts)
        cell = self._cells.get(bar.ts)
        if (cell is not None and cell.closed) or (self._next is not None and bar.ts < self._next):
            return self.corrected(bar)
        if cell is None:
            cell = self._cells[bar.ts] = Cell(bar.open, bar.high, bar.low, bar.close)
            cell.first, cell.last = ends(bar.ts, self.step)
        if not self.knows(bar):
            cell.open, cell.high, cell.low, cell.close, cell.volume = bar.open, bar.high, bar.low, bar.close, bar.volume
            cell.changed = True
        return []

    def advance(self, now: int) -> list[Bar]:
        """Close every interval that ended at or before ``now`` (milliseconds UTC), in order."""
        if self._next is None:
            if not self._cells:
                return []
            self._next = min(self._cells)
        if now < self._next + self.step:
            return []
        closed = list(self._close(now))
        known = sorted(start for start, cell in self._cells.items() if cell.closed and not cell.unknown)
        for start in known[:-KEPT]:
            del self._cells[start]
        return closed

    @property
    def next_open(self) -> int | None:
        """The open of the first interval that is not closed; None before the first close."""
        return self._next

    @property
    def wanted_from(self) -> int | None:
        """The open from which on the exchange is to be asked for its bars; None before anything came.

        The newest that it told is among them: that may have been closed by the clock, and had grown by then.
        """
        if self._stated is not None:
            return self._stated
        return min(self._cells, default=None) if self._next is None else self._next

    def knows(self, bar: Bar) -> bool:
        """Whether it stands here as the exchange tells it."""
        cell = self._cells.get(bar.ts)
        return cell is not None and cell.values == (bar.open, bar.high, bar.low, bar.close, bar.volume)

    def running(self) -> Bar | None:
        """The newest bar that is not closed, where it changed since it was last asked for."""
        if not self._cells:
            return None
        start = max(self._cells)
        cell = self._cells[start]
        if cell.closed or not cell.changed:
            return None
        cell.changed = False
        return self._bar(start, cell)

    def _close(self, now: int) -> Iterator[Bar]:
        assert self._next is not None
        end = now - now % self.step
        starts = range(self._next, end, self.step) if self._fill == "previous" else self._open_starts(end)
        for start in starts[-FILL_MAX:]:
            cell = self._cells.get(start)
            if cell is None:
                if self._last_close is None:
                    continue
                price = self._last_close
                cell = self._cells[start] = Cell(price, price, price, price)
            cell.closed, cell.changed = True, False
            if not cell.unknown:
                self._last_close = cell.close
            if cell.whole:
                yield self._bar(start, cell)
            else:
                cell.rev = -1  # not published: the first word of it will be revision 0
                self.unseen.add(start)
        self._next = end

    def _open_starts(self, end: int) -> list[int]:
        return sorted(start for start, cell in self._cells.items() if not cell.closed and start < end)

    def _correction(self, start: int, cell: Cell) -> list[Bar]:
        """What a late trade changed: its bar, and those that were filled with its close."""
        self.late += 1
        if not cell.whole:
            self.unseen.add(start)
            return []
        cell.rev += 1
        return [self._bar(start, cell), *self._refilled(start, cell.close)]

    def _late_into_nothing(self, start: int, trade: Trade) -> list[Bar]:
        """A late trade of an interval that had none, or of one too old to be known."""
        oldest = min(self._cells, default=None)
        if oldest is None or start < oldest:
            self.late += 1
            self.beyond += 1
            self.unseen.add(start)
            return []
        cell = Cell(trade.price, trade.price, trade.price, trade.price, rev=-1, closed=True)
        self._cells[start] = cell
        cell.add(trade)
        return self._correction(start, cell)
