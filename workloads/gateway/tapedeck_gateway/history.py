"""Closed bars of the past: stored series, and replays up to their position.

Times are milliseconds UTC of a bar's open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle, aggregate
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.partial_response import PartialResponse
from tapedeck_gateway.store import bars
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.points_view import PointsView
from tapedeck_gateway.topics.replay_view import ReplayView

MAX_BARS = 20_000


class BarHistory(Protocol):
    """A source of closed bars."""

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        """The last ``limit`` closed bars with open in [start, end), in order."""

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        """The last ``count`` closed bars that open before ``end``, in order."""

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        """The open of the last closed bar that opens before ``ts``; None where there is none."""


@dataclass(frozen=True)
class StoredBarHistory:
    """A stored series of bars of the interval ``base``. Bars that end after ``now`` have not closed."""

    pool: Pool
    symbol: ChartSymbol
    now: int
    base: BarLength

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        closed = min(end, length.open_of(self.now))
        return bars.bars_between(
            self.pool, self.symbol.exchange, self.symbol.symbol, self.base, length, start, closed, limit
        )

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        closed = min(end, length.open_of(self.now))
        return bars.last_bars(self.pool, self.symbol.exchange, self.symbol.symbol, self.base, length, closed, count)

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        # The last stored bar within a bar of this length that has closed and opens before ts.
        closed = min(length.first_open(ts), length.open_of(self.now))
        found = bars.last_open_before(self.pool, self.symbol.exchange, self.symbol.symbol, self.base, closed)
        return None if found is None else length.open_of(found)

    def part_of(self, opened: int, until: int) -> list[Candle]:
        """The bars with open in [opened, until) as one bar; none where there are none."""
        return bars.part_of_bar(self.pool, self.symbol.exchange, self.symbol.symbol, self.base, opened, until)


@dataclass(frozen=True)
class ReplayBarHistory:
    """A series of a replay up to its position.

    Bars from ``view.complete_from`` on come from the replay's topic. Earlier bars come from the store, if the replay
    plays the stored bars unaltered; otherwise there are none. They are missing while the database does not answer.
    """

    pool: Pool
    symbol: ChartSymbol
    view: ReplayView
    parts: PartialResponse

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        position = self.view.position
        if position is None:
            return []
        first = length.first_open(start)
        end = min(length.first_open(end), length.open_of(position))  # closed bars only
        topic_start = self.view.topic_start
        from_topic = aggregate(self._topic_bars(max(first, topic_start), end), length, position)
        if not self.view.plays_stored_bars:
            return [bar for bar in from_topic if self.view.is_whole(bar.ts, length)][-limit:]
        if first >= topic_start:
            return from_topic[-limit:]
        # One bar may lie across the border: it is made of both sides. Earlier bars come from the store alone.
        border = min(length.open_of(topic_start), end)
        after = length.close_of(border)
        stored_part = self._older(lambda stored: stored.part_of(border, topic_start)) if border < end else []
        across = aggregate([*stored_part, *self._topic_bars(topic_start, min(after, end))], length, position)
        newer = [
            *(candle for candle in across if candle.ts >= first),
            *(candle for candle in from_topic if candle.ts >= after),
        ]
        missing = limit - len(newer)
        older = self._older(lambda stored: stored.between(length, first, border, missing)) if missing > 0 else []
        return [*older, *newer][-limit:]

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        if not self.view.plays_stored_bars:
            return self.between(length, 0, end, count)
        border = length.open_of(self.view.topic_start)
        newer = self.between(length, border, end, count)
        missing = count - len(newer)
        older = self._older(lambda stored: stored.last(length, min(end, border), missing)) if missing else []
        return [*older, *newer]

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        found = self.last(length, ts, 1)
        return found[-1].ts if found else None

    def _topic_bars(self, start: int, end: int) -> list[Candle]:
        return self.view.base_bars(self.symbol.exchange, self.symbol.symbol, start, end)

    def _stored(self) -> StoredBarHistory:
        return StoredBarHistory(
            self.pool, self.symbol, self.view.topic_start, self.view.stored_length(self.symbol.symbol)
        )

    def _older(self, load: Callable[[StoredBarHistory], list[Candle]]) -> list[Candle]:
        """Bars of the store; none while the database does not answer, which the response then says."""
        return self.parts.load("database", lambda: load(self._stored()))


@dataclass(frozen=True)
class ReplayPointHistory:
    """Results of a replay's transform up to its position, from the topic of its results.

    ``interval`` is that of the results, empty for results of trades.
    """

    symbol: ChartSymbol
    view: ReplayView
    points: PointsView
    interval: str

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        first, last = length.first_open(start), length.first_open(end)
        results = self.points.candles(self.symbol, self.interval, self.view.valid_until)
        chosen = [candle for candle in results if first <= candle.ts < last]
        return [candle for candle in aggregate(chosen, length, self.view.position or 0) if candle.closed][-limit:]

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        return self.between(length, 0, end, count)

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        found = self.last(length, ts, 1)
        return found[-1].ts if found else None
