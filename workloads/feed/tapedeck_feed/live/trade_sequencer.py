"""One symbol's trades in order and once each, whatever the connection does. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

from tapedeck_common.market import Trade
from tapedeck_feed.exchanges.adapter import trade_order

REMEMBERED = 10_000  # ids by which repeats are known where ids do not count up, and within which others may repeat
HELD_MAX = 50_000
NEAR = 100  # ids within which trades confirm one another
DISPROVED = 3  # younger trades in turn, behind an id that must have been wrong


class Line:
    """Trades go in as they come and come out in order, as soon as nothing can be missing before them.

    Where ids count up by one (``contiguous``) a hole shows by itself, and what is behind it waits. Elsewhere a
    hole can only be where the connection was lost: ``hold`` makes what follows wait until ``mend``. Some exchanges
    begin a connection with the last trades: where these are known, as ``overlaps`` says, none is missing.

    An id that counts up is not believed where neither the exchange, when asked, nor another trade near it confirms it:
    ``wild`` takes such trades, for the caller to tell.
    """

    def __init__(self, *, contiguous: bool, last: Trade | None = None, known: Iterable[str] = ()) -> None:
        self.contiguous = contiguous
        self.last = last
        self.duplicates = 0
        self.missing = 0
        self.overlaps = False
        self._holding = self._anew = False
        self._held: dict[str, Trade] = {}
        self._recent: deque[str] = deque(known, maxlen=REMEMBERED)
        self._known = set(self._recent)
        self.wild: list[Trade] = []
        self._doubted: dict[str, Trade] = {}
        self._younger: list[Trade] = []
        self._told = -1  # the newest id that the exchange told when it was asked

    @property
    def waiting(self) -> int:
        """How many trades wait behind a hole."""
        return len(self._held)

    @property
    def full(self) -> bool:
        """Whether no more should wait."""
        return len(self._held) >= HELD_MAX

    @property
    def unconfirmed(self) -> bool:
        """Whether all that waits lies beyond what the exchange told when it was asked."""
        return self.contiguous and bool(self._held) and min(map(int, self._held)) > self._told

    def hold(self, *, anew: bool = True) -> None:
        """What comes next may stand behind a hole; ``anew`` where it comes by another connection."""
        self._holding = not self.contiguous and self.last is not None
        self._anew, self.overlaps = anew, False

    def take(self, trade: Trade) -> list[Trade]:
        """A trade from the connection → the trades that are due."""
        if not self.contiguous:
            return self._take_any(trade)
        number = int(trade.id)
        due = self._next(number)
        if number == due:
            self.last = trade
            return [trade] if not self._held else [trade, *self._released()]
        if number < due:
            return self._before(trade)
        if trade.id in self._held or trade.id in self._doubted:
            self.duplicates += 1
        else:
            self._held[trade.id] = trade
            self._held |= {
                name: one for name, one in self._doubted.items() if int(name) > due and abs(int(name) - number) <= NEAR
            }
        return []

    def mend(self, trades: Iterable[Trade]) -> list[Trade]:
        """What the exchange answered for a hole → the trades that are due, with those that waited."""
        if self.contiguous:
            found = sorted(trades, key=lambda trade: int(trade.id))
            self._told = max(self._told, int(found[-1].id)) if found else self._told
            return [due for trade in found if int(trade.id) >= self._next(int(trade.id)) for due in self.take(trade)]
        fresh = {trade.id: trade for trade in trades if trade.id not in self._known} | self._held
        self._held, self._holding = {}, False
        return [due for trade in sorted(fresh.values(), key=trade_order) for due in self._take_any(trade)]

    def follow(self, trades: Iterable[Trade]) -> list[Trade]:
        """The first that the exchange answered for a hole → the trades that are due; those that waited wait on."""
        if self.contiguous:
            return self.mend(trades)
        held, holding, self._held = self._held, self._holding, {}
        due = self.mend(trades)
        self._held = {name: trade for name, trade in held.items() if name not in self._known}
        self._holding = holding
        return due

    def give_up(self) -> list[Trade]:
        """The exchange has not got what is missing: go on behind the hole, but not to where nothing confirms it."""
        self._holding = False
        if not self.contiguous:
            return self.mend(())
        waiting = self._believed()
        self._held = {}
        for trade in waiting:
            self.missing += int(trade.id) - self._next(int(trade.id))
            self.last = trade
        return waiting

    def _believed(self) -> list[Trade]:
        """What waits, in order, less what nothing confirms."""
        waiting = sorted(self._held.values(), key=lambda trade: int(trade.id))
        numbers = [int(trade.id) for trade in waiting]
        steps = [NEAR + 1, *(after - before for before, after in pairwise(numbers)), NEAR + 1]
        lone = {
            trade.id: trade
            for trade, number, step, next_step in zip(waiting, numbers, steps, steps[1:], strict=False)
            if number > self._told and step > NEAR and next_step > NEAR
        }
        self._doubted = lone
        self.wild += lone.values()
        return [trade for trade in waiting if trade.id not in lone]

    def _before(self, trade: Trade) -> list[Trade]:
        """A repeat; but younger trades in turn, far before the last one, say that its id was wrong, and are due."""
        self.duplicates += 1
        assert self.last is not None
        if trade.ts <= self.last.ts or int(self.last.id) - int(trade.id) <= REMEMBERED:
            return []
        if self._younger and int(trade.id) != int(self._younger[-1].id) + 1:
            self._younger = []
        self._younger.append(trade)
        if len(self._younger) < DISPROVED:
            return []
        due, self._younger = self._younger, []
        self._doubted = {self.last.id: self.last}
        self.wild.append(self.last)
        self.duplicates -= len(due)
        self.last = due[-1]
        return due

    def _next(self, first: int) -> int:
        return int(self.last.id) + 1 if self.last is not None else first

    def _released(self) -> list[Trade]:
        released: list[Trade] = []
        while self.last is not None and (trade := self._held.pop(str(int(self.last.id) + 1), None)) is not None:
            self.last = trade
            released.append(trade)
        return released

    def _take_any(self, trade: Trade) -> list[Trade]:
        if trade.id in self._known or trade.id in self._held:
            self.duplicates += 1
            self.overlaps |= self._holding and self._anew
            return []
        if self._holding:
            self._held[trade.id] = trade
            return []
        if len(self._recent) == REMEMBERED:
            self._known.discard(self._recent[0])
        self._recent.append(trade.id)
        self._known.add(trade.id)
        if self.last is None or trade.ts >= self.last.ts:
            self.last = trade
        return [trade]
