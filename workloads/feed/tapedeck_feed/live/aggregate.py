"""Bars of one series out of its trades, in whatever order they come. Pure: time comes in as a parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tapedeck_common.market import Bar, Trade
from tapedeck_feed.live.asked import Asked
from tapedeck_feed.live.cell import Cell, cells_of, ends

KEPT = 240  # closed bars of an interval that a late trade can still correct
FILL_MAX = 100_000  # bars that one silence is filled with


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
