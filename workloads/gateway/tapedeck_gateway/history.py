"""Bars of the past and the one under way: stored series, and replays up to their position.

Times are milliseconds UTC of a bar's open. Histories end in the running bar, made of what is known of it so far; its
``closed`` is false.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle, aggregate
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.partial_response import PartialResponse
from tapedeck_gateway.store import bars
from tapedeck_gateway.store.coverage import ranges_with_bars, ranges_without_bars
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.points_view import PointsView
from tapedeck_gateway.topics.replay_view import ReplayView

MAX_BARS = 20_000
RECORDED_WITHIN = 3  # bars of the stored length: what ended before that is stored, unless the recorder is behind
_Found = TypeVar("_Found")


class BarHistory(Protocol):
    """A source of bars."""

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        """The last ``limit`` bars with open in [start, end), in order."""

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        """The last ``count`` bars that open before ``end``, in order."""

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        """The open of the last bar that opens before ``ts``; None where there is none."""


def no_running_bars(_start: int, _end: int) -> list[Candle]:
    """The source of running bars of a market that is not live."""
    return []


def with_recent(stored: list[Candle], recent: list[Candle], limit: int) -> list[Candle]:
    """The last ``limit`` of stored and of recent bars in order; of two with the same open the recent one."""
    if limit <= 0:
        return []
    if not recent:  # most requests are for the past, and have thousands of bars
        return stored[-limit:]
    overlap = bisect_left(stored, recent[0].ts, key=lambda bar: bar.ts)
    newest = {bar.ts: bar for bar in [*stored[overlap:], *recent]}
    return [*stored[:overlap], *(newest[opened] for opened in sorted(newest))][-limit:]


def within(opened: int, start: int | None, end: int) -> bool:
    """Whether a bar opens in [start, end), where None is the beginning of all."""
    return (start is None or start <= opened) and opened < end


@dataclass(frozen=True)
class StoredBarHistory:
    """A stored series of bars of the interval ``base``. Bars that end after ``now`` have not closed.

    ``live`` has the newest bars of that interval with open in a range, with the one under way, as the market's topic
    has them. ``series`` has the first and last open of each stored interval of the market; it is asked where several
    series are one history.
    """

    pool: Pool
    symbol: ChartSymbol
    now: int
    base: BarLength
    live: Callable[[int, int], list[Candle]] = no_running_bars
    series: Callable[[], Mapping[str, tuple[int, int]]] = dict

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        symbol, closed = self.symbol, min(end, length.open_of(self.now))
        stored = bars.bars_between(self.pool, symbol.exchange, symbol.symbol, self.base, length, start, closed, limit)
        return with_recent(stored, self._recent(length, length.first_open(start), end), limit)

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        symbol, closed = self.symbol, min(end, length.open_of(self.now))
        recent = self._recent(length, None, end)
        missing = count - sum(bar.ts >= closed for bar in recent)
        stored: list[Candle] = []
        if missing > 0:
            stored = bars.last_bars(self.pool, symbol.exchange, symbol.symbol, self.base, length, closed, missing)
        return with_recent(stored, recent, count)

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        # The last stored bar that is known, within a bar of this length that opens before ts.
        known = min(length.first_open(ts), self.base.open_of(self.now))
        found = bars.last_open_before(self.pool, self.symbol.exchange, self.symbol.symbol, self.base, known)
        return None if found is None else length.open_of(found)

    @cached_property
    def span(self) -> tuple[int, int]:
        """From the open of the first stored bar to the close of the last, or until now; empty without any."""
        if self.base.interval not in self.series():
            return (0, 0)
        first, last = self.series()[self.base.interval]
        until = min(self.base.close_of(last), self.base.open_of(self.now))
        return (first, until) if first < until else (0, 0)

    def closed(self, length: BarLength, start: int, end: int) -> list[Candle]:
        """The bars of a length with open in [start, end), where all of these have closed."""
        symbol, count = self.symbol, length.number(end - 1) - length.number(start - 1)
        return bars.bars_between(self.pool, symbol.exchange, symbol.symbol, self.base, length, start, end, count)

    def newest(self, start: int) -> list[Candle]:
        """The series' own bars that open at ``start`` or later, as far as they are known now: also unclosed ones."""
        newest = self._from_topic(start)
        until = min(self.base.open_of(self.now), newest[0].ts) if newest else self.base.open_of(self.now)
        return [*(self.closed(self.base, start, until) if start < until else ()), *newest]

    def _from_topic(self, start: int) -> list[Candle]:
        """The newest bars that open at ``start`` or later, and what is stored between and after them.

        The market's topic lacks bars where one came late, and what came before the series was followed.
        """
        newest, until = self.live(start, self.now), self.base.open_of(self.now)
        closes = [self.base.close_of(bar.ts) for bar in newest]
        if all(end >= opened for end, opened in zip(closes, [*(bar.ts for bar in newest[1:]), until], strict=False)):
            return newest
        stored = self.closed(self.base, newest[0].ts, until)
        return with_recent(stored, newest, len(stored) + len(newest))

    def holes(self, start: int, end: int) -> list[tuple[int, int]]:
        """The ranges in [start, end) in which no bar of the series opens, in order."""
        return [
            each
            for block in ranges_without_bars(self.pool, self.symbol, self.base, start, end)
            for each in block
            if each[0] < each[1]
        ]

    def with_bars(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Of these ranges those in which a bar of the series opens."""
        return ranges_with_bars(self.pool, self.symbol, self.base, ranges)

    def first_opens(self) -> list[int]:
        """The open of the first stored bar; none where there is none."""
        found = bars.first_open(self.pool, self.symbol.exchange, self.symbol.symbol, self.base)
        return [] if found is None else [found]

    def part_of(self, opened: int, until: int) -> list[Candle]:
        """The bars with open in [opened, until) as one bar; none where there are none."""
        return bars.part_of_bar(self.pool, self.symbol.exchange, self.symbol.symbol, self.base, opened, until)

    def _recent(self, length: BarLength, start: int | None, end: int) -> list[Candle]:
        """The bar under way, and those that ended just now and of which the market's topic has a part.

        The recorder may not have stored them yet. Of these the bars that open before ``end`` and not before ``start``.
        """
        since, under_way = self.recent_since(length), length.open_of(self.now)
        if end <= since or (start is not None and start > under_way):
            return []
        newest: dict[int, list[Candle]] = {under_way: []}
        for bar in self._from_topic(since):
            newest.setdefault(length.open_of(bar.ts), []).append(bar)
        asked = (opened for opened in sorted(newest) if within(opened, start, end))
        return [bar for opened in asked for bar in self._with_newest(length, opened, newest[opened])]

    def newest_since(self, length: BarLength, end: int) -> int:
        """The open of the first bar of a length of which the market's topic has a part, of those before ``end``."""
        since, under_way = self.recent_since(length), length.open_of(self.now)
        return since if since < min(end, under_way) and self.live(since, under_way) else under_way

    def recent_since(self, length: BarLength) -> int:
        """The open of the first bar of a length of which the recorder may not have stored the last part yet."""
        return length.open_of(self.base.open_of(self.now) - RECORDED_WITHIN * self.base.ms)

    def _with_newest(self, length: BarLength, opened: int, newest: list[Candle]) -> list[Candle]:
        """The bar with this open, of stored bars and of the newest after them; none where there are none."""
        until = self.base.open_of(self.now)  # stored bars that have closed
        stored = self.part_of(opened, min(until, newest[0].ts) if newest else until)
        closed_until = next((bar.ts for bar in newest if not bar.closed), self.now)
        return aggregate([*stored, *newest], length, closed_until)


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
        if position is None or limit <= 0:
            return []
        first = length.first_open(start)
        end = min(length.first_open(end), length.first_open(position))  # the bar that contains the position is the last
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

    def first_open(self, length: BarLength) -> int | None:
        """The open of the first bar that may have a part of what is known; None where nothing is."""
        of_topic = self.view.first_open(self.symbol.exchange, self.symbol.symbol)
        known = [] if of_topic is None else [of_topic]
        if self.view.plays_stored_bars:
            known += self._older(lambda stored: stored.first_opens())
        return length.open_of(min(known)) if known else None

    def _topic_bars(self, start: int, end: int) -> list[Candle]:
        return self.view.base_bars(self.symbol.exchange, self.symbol.symbol, start, end)

    def _stored(self) -> StoredBarHistory:
        return StoredBarHistory(
            self.pool, self.symbol, self.view.topic_start, self.view.stored_length(self.symbol.symbol)
        )

    def _older(self, load: Callable[[StoredBarHistory], list[_Found]]) -> list[_Found]:
        """What the store has; nothing while the database does not answer, which the response then says."""
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
        return aggregate(chosen, length, self.view.position or 0)[-limit:]

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        return self.between(length, 0, end, count)

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        found = self.last(length, ts, 1)
        return found[-1].ts if found else None
