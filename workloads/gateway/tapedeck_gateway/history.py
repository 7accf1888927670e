"""Closed bars of the past, for the store's series and for a replay as far as it has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tapedeck_gateway.charts.bar_columns import Candle, coarser
from tapedeck_gateway.charts.symbols import Name
from tapedeck_gateway.store import bars as stored
from tapedeck_gateway.topics.replay_view import ReplayView

MAX_BARS = 20_000


class Past(Protocol):
    """Where closed bars come from."""

    def bars(self, width: int, start: int, end: int, limit: int) -> list[Candle]:
        """The last ``limit`` closed bars with open in [start, end), in order."""

    def back(self, width: int, end: int, count: int) -> list[Candle]:
        """The last ``count`` closed bars that open before ``end``, in order."""

    def last_before(self, width: int, ts: int) -> int | None:
        """Open of the last bar before ``ts``; None where there is none."""


@dataclass(frozen=True)
class StorePast:
    """A series of the store. ``now`` closes bars: those that end later are still forming."""

    pool: stored.Pool
    name: Name
    now: int
    base: str = "1m"

    def bars(self, width: int, start: int, end: int, limit: int) -> list[Candle]:
        closed = min(end, self.now - width + 1)
        return stored.bars_between(
            self.pool, self.name.exchange, self.name.symbol, self.base, width, start, closed, limit
        )

    def back(self, width: int, end: int, count: int) -> list[Candle]:
        closed = min(end, self.now - width + 1)
        return stored.bars_back(self.pool, self.name.exchange, self.name.symbol, self.base, width, closed, count)

    def last_before(self, width: int, ts: int) -> int | None:
        # An open in a bar that has ended by now and opened before ts.
        closed = min(-(-ts // width) * width, self.now - self.now % width)
        found = stored.last_open_before(self.pool, self.name.exchange, self.name.symbol, self.base, closed)
        return None if found is None else found - found % width


@dataclass(frozen=True)
class ReplayPast:
    """A series of a replay: its topic from the view's floor on, the store before where that holds the same bars."""

    pool: stored.Pool
    name: Name
    view: ReplayView

    def bars(self, width: int, start: int, end: int, limit: int) -> list[Candle]:
        position = self.view.position
        if position is None:
            return []
        first = -(-start // width) * width
        end = min(-(-end // width) * width, position - position % width)  # only bars that have ended
        floor = self._floor()
        topic = coarser(self._topic(max(first, floor), end), width, position)
        if not self.view.from_store or first >= floor:
            return topic[-limit:]
        # Bars wholly before the floor come from the store; the one across it is built from both sides.
        seam = min(floor - floor % width, end)
        across = coarser(
            [*self._store(seam, min(floor, end)), *self._topic(floor, min(seam + width, end))], width, position
        )
        after = [candle for candle in topic if candle.ts >= seam + width]
        newer = [*(c for c in across if c.ts >= first), *after]
        missing = limit - len(newer)
        older = self._past().bars(width, first, seam, missing) if missing > 0 else []
        return [*older, *newer][-limit:]

    def back(self, width: int, end: int, count: int) -> list[Candle]:
        floor = self._floor()
        if not self.view.from_store:
            return self.bars(width, 0, end, count)
        newer = self.bars(width, floor - floor % width, end, count)
        missing = count - len(newer)
        older = self._past().back(width, min(end, floor - floor % width), missing) if missing else []
        return [*older, *newer]

    def last_before(self, width: int, ts: int) -> int | None:
        found = self.back(width, ts, 1)
        return found[-1].ts if found else None

    def _floor(self) -> int:
        """Opens from here on are the topic's: the first bar of base length that is known after the floor."""
        base = self.view.interval_ms
        known = self._known()
        return known - known % base if self.view.from_store else 0

    def _known(self) -> int:
        """Event time up to which the store tells: what is later comes from the topic."""
        return min(self.view.floor, self.view.position or 0)

    def _topic(self, start: int, end: int) -> list[Candle]:
        return self.view.base(self.name.exchange, self.name.symbol, start, end)

    def _past(self) -> StorePast:
        return StorePast(self.pool, self.name, self._known(), self._base())

    def _store(self, start: int, end: int) -> list[Candle]:
        return self._past().bars(self.view.interval_ms, start, end, MAX_BARS)

    def _base(self) -> str:
        return self.view.start.interval if self.view.start else "1m"
