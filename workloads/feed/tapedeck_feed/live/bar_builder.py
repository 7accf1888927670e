"""One interval of a series as it grows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tapedeck_common.market import Trade

Place = tuple[int, int, str]


def ends(start: int, step: int) -> tuple[Place, Place]:
    """Places before and behind every trade of an interval: its open and close stay as they are."""
    return (start, -1, ""), (start + step, 0, "")


@dataclass(slots=True)
class Cell:
    """One interval as it grows. ``first`` and ``last`` are the places of the trades of open and close."""

    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    first: Place | None = None
    last: Place | None = None
    rev: int = 0
    closed: bool = False
    whole: bool = True
    changed: bool = True

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of it, not even that nothing was traded."""
        return self.first is None and self.rev < 0

    @property
    def values(self) -> tuple[float, float, float, float, float]:
        """Open, high, low, close and volume."""
        return self.open, self.high, self.low, self.close, self.volume

    def add(self, trade: Trade) -> None:
        """A trade of the interval, whatever its order."""
        price = trade.price
        place = (trade.ts, len(trade.id), trade.id)
        if self.first is None or self.last is None:  # nothing but a filled one, or none
            self.open = self.high = self.low = self.close = price
            self.first = self.last = place
        elif place < self.first:
            self.open, self.first = price, place
        elif place > self.last:
            self.close, self.last = price, place
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume += trade.amount
        self.changed = True


def cells_of(trades: Iterable[Trade], step: int) -> dict[int, Cell]:
    """The intervals of some trades, by open."""
    cells: dict[int, Cell] = {}
    for trade in trades:
        start = trade.ts - trade.ts % step
        cell = cells.get(start)
        if cell is None:
            cell = cells[start] = Cell(trade.price, trade.price, trade.price, trade.price)
        cell.add(trade)
    return cells
