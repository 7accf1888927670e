"""Puts one symbol's trades in order and drops repeats, whatever the connection does. Pure.

Trades come in as they arrive and go out in order, as soon as none before them can be missing. How a gap is found
depends on the exchange's trade ids, so there are two sequencers behind one interface:

- ContiguousIdSequencer, where each id is the previous one plus 1: a gap is visible in the ids;
- ArbitraryIdSequencer, elsewhere: a gap can only be where the connection was lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar

from tapedeck_common.market import ArrivalOrder, Trade, sorted_by_arrival

RECENT_MAX = 10_000  # ids by which repeats are recognized; contiguous ids may repeat within as many
PENDING_MAX = 50_000
NEIGHBOURHOOD = 100  # ids of trades within this distance confirm each other
CONTRADICTIONS = 3  # consecutive newer trades with lower ids prove that the last id was wrong


class TradeSequencer(ABC):
    """The interface. Trades after a possible gap are pending until ``add_recovered`` or ``skip_gap``.

    - ``last``: the newest trade that went out; ``duplicates``: how many repeats were dropped.
    - ``missing``: how many ids were skipped; ``rejected``: trades whose id is not believed, until they are taken.
    - ``overlaps_recent``: the new connection repeated a trade that went out before, so that no trade is missing.
    """

    contiguous_ids: ClassVar[bool]

    def __init__(self, last: Trade | None = None) -> None:
        self.last = last
        self.duplicates = 0
        self.missing = 0
        self.rejected: list[Trade] = []
        self.overlaps_recent = False

    @abstractmethod
    def add(self, trade: Trade) -> list[Trade]:
        """A trade from the subscription → the trades that go out now."""

    @abstractmethod
    def expect_gap(self, *, reconnecting: bool = True) -> None:
        """The next trade may follow a gap; ``reconnecting`` where it comes from another connection."""

    @abstractmethod
    def add_recovered(self, trades: Iterable[Trade]) -> list[Trade]:
        """The exchange's complete response for a gap → the trades that go out now, pending ones included."""

    @abstractmethod
    def add_partially_recovered(self, trades: Iterable[Trade]) -> list[Trade]:
        """The first part of a response → the trades that go out now. Pending trades stay pending."""

    @abstractmethod
    def skip_gap(self) -> list[Trade]:
        """The exchange does not have the missing trades → the pending trades that go out without them."""

    @property
    @abstractmethod
    def pending(self) -> int:
        """How many trades wait after a possible gap."""

    @property
    def is_full(self) -> bool:
        """Whether no more trades should wait."""
        return self.pending >= PENDING_MAX

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the exchange returned none of the pending ids, nor a higher one."""
        return False

    def take_rejected(self) -> list[Trade]:
        """The trades whose id was not believed since the last call."""
        rejected, self.rejected = self.rejected, []
        return rejected


class ContiguousIdSequencer(TradeSequencer):
    """For ids that count up by 1. A trade is pending while an id before its own is missing.

    An exchange sometimes sends a wrong id, far from all others. Following it would skip every real trade, so an id is
    believed only where the exchange returned it or a later one in a response, or where another trade's id is near.
    """

    contiguous_ids = True

    def __init__(self, last: Trade | None = None) -> None:
        super().__init__(last)
        self._next_id = None if last is None else int(last.id) + 1
        self._pending: dict[int, Trade] = {}
        self._unbelieved: dict[int, Trade] = {}  # rejected trades, in case that others confirm them later
        self._contradicting: list[Trade] = []
        self._newest_returned = -1  # the highest id in a response of the exchange

    @property
    def pending(self) -> int:
        """How many trades wait after a gap in the ids."""
        return len(self._pending)

    @property
    def is_unconfirmed(self) -> bool:
        """Whether every pending id is higher than any id that the exchange returned."""
        return bool(self._pending) and min(self._pending) > self._newest_returned

    def expect_gap(self, *, reconnecting: bool = True) -> None:
        """No effect: the next id shows whether a trade is missing."""

    def add(self, trade: Trade) -> list[Trade]:
        """The trade goes out if its id is the next, with the pending trades that follow it."""
        trade_id = int(trade.id)
        if self._next_id is None:
            self._next_id = trade_id
        if trade_id == self._next_id:
            self.last, self._next_id = trade, trade_id + 1
            return [trade, *self._pop_consecutive()] if self._pending else [trade]
        if trade_id < self._next_id:
            return self._add_older(trade, trade_id)
        if trade_id in self._pending or trade_id in self._unbelieved:
            self.duplicates += 1
        else:
            self._pending[trade_id] = trade
            self._restore_neighbours(trade_id)
        return []

    def add_recovered(self, trades: Iterable[Trade]) -> list[Trade]:
        """Ids that already went out are ignored."""
        returned = sorted(((int(trade.id), trade) for trade in trades), key=lambda pair: pair[0])
        if returned:
            self._newest_returned = max(self._newest_returned, returned[-1][0])
        out: list[Trade] = []
        for trade_id, trade in returned:
            if self._next_id is None or trade_id >= self._next_id:
                out += self.add(trade)
        return out

    def add_partially_recovered(self, trades: Iterable[Trade]) -> list[Trade]:
        """As ``add_recovered``: the ids show which pending trades can go out."""
        return self.add_recovered(trades)

    def skip_gap(self) -> list[Trade]:
        """Pending trades go out in order, without those whose id is not believed."""
        believed = self._believed_pending()
        self._pending = {}
        for trade_id, trade in believed:
            if self._next_id is not None:
                self.missing += trade_id - self._next_id
            self.last, self._next_id = trade, trade_id + 1
        return [trade for _, trade in believed]

    def _pop_consecutive(self) -> list[Trade]:
        out: list[Trade] = []
        while self._next_id is not None and (trade := self._pending.pop(self._next_id, None)) is not None:
            self.last, self._next_id = trade, self._next_id + 1
            out.append(trade)
        return out

    def _restore_neighbours(self, trade_id: int) -> None:
        """Rejected trades near this id are pending again: the ids confirm each other."""
        assert self._next_id is not None
        self._pending |= {
            other: trade
            for other, trade in self._unbelieved.items()
            if other > self._next_id and abs(other - trade_id) <= NEIGHBOURHOOD
        }

    def _believed_pending(self) -> list[tuple[int, Trade]]:
        """The pending trades in order, without lone ids that the exchange did not return: these are rejected."""
        pending = sorted(self._pending.items())
        distances = [NEIGHBOURHOOD + 1, *(after - before for (before, _), (after, _) in pairwise(pending))]
        distances.append(NEIGHBOURHOOD + 1)
        self._unbelieved = {
            trade_id: trade
            for (trade_id, trade), before, after in zip(pending, distances, distances[1:], strict=False)
            if trade_id > self._newest_returned and before > NEIGHBOURHOOD and after > NEIGHBOURHOOD
        }
        self.rejected += self._unbelieved.values()
        return [(trade_id, trade) for trade_id, trade in pending if trade_id not in self._unbelieved]

    def _add_older(self, trade: Trade, trade_id: int) -> list[Trade]:
        """A repeat; or a trade whose time is later although its id is far lower: then the last id may be wrong.

        After CONTRADICTIONS consecutive ones the last id is rejected, and these go out instead.
        """
        self.duplicates += 1
        assert self.last is not None and self._next_id is not None
        if trade.ts <= self.last.ts or self._next_id - 1 - trade_id <= RECENT_MAX:
            return []
        if self._contradicting and trade_id != int(self._contradicting[-1].id) + 1:
            self._contradicting = []
        self._contradicting.append(trade)
        if len(self._contradicting) < CONTRADICTIONS:
            return []
        out, self._contradicting = self._contradicting, []
        self._unbelieved = {self._next_id - 1: self.last}
        self.rejected.append(self.last)
        self.duplicates -= len(out)
        self.last, self._next_id = trade, trade_id + 1
        return out


class ArbitraryIdSequencer(TradeSequencer):
    """For ids without order. After ``expect_gap`` every new trade is pending until the gap is closed.

    Trades of one millisecond are numbered in the order of their arrival.
    Some exchanges repeat the last trades when a connection begins; that is how ``overlaps_recent`` becomes True.
    ``recent_ids`` are the ids of the newest trades that went out before.
    """

    contiguous_ids = False

    def __init__(self, last: Trade | None = None, recent_ids: Iterable[str] = ()) -> None:
        super().__init__(last)
        self._gap_expected = self._reconnecting = False
        self._pending: dict[str, Trade] = {}
        self._recent: deque[str] = deque(recent_ids, maxlen=RECENT_MAX)  # in order of age, for _recent_ids
        self._recent_ids = set(self._recent)
        self._order = ArrivalOrder(() if last is None else (last,))

    @property
    def pending(self) -> int:
        """How many trades wait after a possible gap."""
        return len(self._pending)

    def expect_gap(self, *, reconnecting: bool = True) -> None:
        """Trades are pending from now on, unless none has gone out before."""
        self._gap_expected = self.last is not None
        self._reconnecting, self.overlaps_recent = reconnecting, False

    def add(self, trade: Trade) -> list[Trade]:
        """The trade goes out unless it is a repeat, or a gap is expected before it."""
        if trade.id in self._recent_ids or trade.id in self._pending:
            self.duplicates += 1
            self.overlaps_recent |= self._gap_expected and self._reconnecting
            return []
        if self._gap_expected:
            self._pending[trade.id] = trade
            return []
        if len(self._recent) == RECENT_MAX:
            self._recent_ids.discard(self._recent[0])
        self._recent.append(trade.id)
        self._recent_ids.add(trade.id)
        trade = self._order.numbered(trade)
        if self.last is None or trade.ts >= self.last.ts:
            self.last = trade
        return [trade]

    def add_recovered(self, trades: Iterable[Trade]) -> list[Trade]:
        """The gap is closed: what was returned and what was pending go out, by time."""
        merged = {trade.id: trade for trade in trades if trade.id not in self._recent_ids} | self._pending
        self._pending, self._gap_expected = {}, False
        return [out for trade in sorted_by_arrival(merged.values()) for out in self.add(trade)]

    def add_partially_recovered(self, trades: Iterable[Trade]) -> list[Trade]:
        """What was returned goes out; other trades stay pending."""
        pending, gap_expected, self._pending = self._pending, self._gap_expected, {}
        out = self.add_recovered(trades)
        self._pending = {trade_id: trade for trade_id, trade in pending.items() if trade_id not in self._recent_ids}
        self._gap_expected = gap_expected
        return out

    def skip_gap(self) -> list[Trade]:
        """Pending trades go out, by time."""
        return self.add_recovered(())


def create_sequencer(
    *, contiguous_ids: bool, last: Trade | None = None, recent_ids: Iterable[str] = ()
) -> TradeSequencer:
    """The sequencer for an exchange's ids, which continues after ``last``."""
    return ContiguousIdSequencer(last) if contiguous_ids else ArbitraryIdSequencer(last, recent_ids)
