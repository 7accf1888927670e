"""Bars of a subscribed series that are made of other records: trades, tickers, results of transforms."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle, aggregate
from tapedeck_gateway.charts.late_bars import LateBars
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.push.channel import JumpReason
from tapedeck_gateway.push.protocol.requests import SNAPSHOT_MAX
from tapedeck_gateway.store.grouped_history import GroupedHistory
from tapedeck_gateway.topics.points_view import PointsView
from tapedeck_gateway.topics.replay_view import ReplayView

READ_SECONDS = 1.0  # between two reads of the store, at least
READ_SHARE = 20  # reading takes one part in so many of the time, at most


@dataclass
class ReplayPointBars:
    """Results of a replay's transform up to its position. ``interval`` is theirs, empty for results of trades."""

    view: ReplayView
    points: PointsView
    symbol: ChartSymbol
    interval: str
    length: BarLength
    must_refresh = False

    @property
    def changed_by(self) -> frozenset[str]:
        """Changes of the replay's topics."""
        return frozenset({self.view.uid})

    @property
    def ready(self) -> bool:
        """Whether all that was published before the subscription has been read."""
        return self.view.caught_up and self.points.caught_up

    @property
    def jumped_by(self) -> JumpReason:
        """What the generation counted last."""
        return self.view.jumped_by

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        """The generation, and the bars that open at ``since`` or later; for None the newest."""
        generation = self.view.generation  # read first: a seek after it is seen by the next push
        results = self.points.candles(self.symbol, self.interval, self.view.valid_until, since or 0)
        if since is None and results:
            opened = self.length.open_of(results[-1].ts)
            results = [result for result in results if result.ts >= opened]
        return generation, aggregate(results, self.length, self.view.position or 0)

    def recent(self, count: int) -> list[Candle]:
        """The last ``count`` bars."""
        return self.bars_since(0)[1][-count:]

    def late_after(self, number: int) -> tuple[int, list[int] | None]:
        """The number of the latest result, and the opens of those that arrived after ``number``; None where unknown."""
        number, arrived, missed = self.points.arrived_after(self.symbol, number)
        withdrawn = any(each.point.value is None for each in arrived)
        opens = [each.point.ts for each in arrived if each.point.interval == self.interval]
        return number, None if missed or withdrawn else opens

    def refresh(self) -> bool:
        """Nothing is loaded: the topics tell of every change."""
        return False

    def keep_open(self) -> None:
        """Keep the views until ``close``."""
        self.view.watch()
        self.points.watch()
        self.points.follow(self.symbol)

    def close(self) -> None:
        """Release the views."""
        self.view.unwatch()
        self.points.unwatch()
        self.points.unfollow(self.symbol)


class StoredRowBars:
    """A series that the store has as rows, read again every READ_SECONDS. ``history`` has it as known at a time.

    ``reread`` is how many of the newest bars are read again: late rows and corrections change these. The thread that
    polls replaces ``_state``, others read it.
    """

    changed_by: frozenset[str] = frozenset()
    ready = True
    jumped_by: JumpReason = "seek"

    def __init__(
        self,
        history: Callable[[int], GroupedHistory],
        symbol: ChartSymbol,
        length: BarLength,
        limits: FutureLimits,
        reread: int,
    ) -> None:
        self.symbol = symbol
        self.length = length
        self._history = history
        self._limits = limits
        self._reread = reread
        self._late = LateBars()
        self._until = limits.of_market(symbol.exchange)
        self._state: tuple[int, list[Candle]] = (0, [])
        self._next_read = 0.0
        self._read(self._until)

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        """The generation, and the bars that open at ``since`` or later; for None the newest."""
        generation, bars = self._state
        return generation, bars[-1:] if since is None else [bar for bar in bars if bar.ts >= since]

    def recent(self, count: int) -> list[Candle]:
        """The last ``count`` bars."""
        return self._state[1][-count:]

    def late_after(self, number: int) -> tuple[int, list[int] | None]:
        """The number of the latest late bar, and the opens of those after ``number``, as ``LateBars.after``."""
        return self._late.number, self._late.after(number)

    @property
    def must_refresh(self) -> bool:
        """Whether it is time to read, or the limit may change: a replay records this market."""
        is_limited = self.symbol.exchange.startswith(RECORDED_PREFIX) and not self._limits.future
        return is_limited or time.monotonic() >= self._next_read

    def refresh(self) -> bool:
        """Read what is new; returns whether bars changed. Raises Unavailable."""
        until = self._limits.of_market(self.symbol.exchange)
        if until == self._until and time.monotonic() < self._next_read:
            return False
        before = self._state
        self._read(until)
        return self._state != before

    def _read(self, until: int) -> None:
        began = time.monotonic()
        now = min(int(time.time() * 1000), until)
        history, (generation, known) = self._history(now), self._state
        if until < self._until or not known:
            bars = history.last(self.length, now + 1, SNAPSHOT_MAX)
            self._state = (generation + (until < self._until), bars)
        else:
            since = known[-self._reread :][0].ts
            # One more than a message has, so that a gap before them is noticed.
            found = history.between(self.length, since, now + 1, SNAPSHOT_MAX + 1)
            kept = [bar for bar in known if bar.ts < since]
            lost = {bar.ts for bar in known if bar.ts >= since} - {bar.ts for bar in found}
            self._state = (generation + bool(lost), [*kept, *found][-SNAPSHOT_MAX - 1 :])
            self._note_late(known, found)
        self._until = until
        self._next_read = time.monotonic() + max(READ_SECONDS, READ_SHARE * (time.monotonic() - began))

    def _note_late(self, known: list[Candle], found: list[Candle]) -> None:
        before = {bar.ts: bar for bar in known}
        for bar in found:
            if bar.ts < known[-1].ts and before.get(bar.ts) != bar:
                self._late.note(bar.ts)

    def keep_open(self) -> None:
        """Nothing is held open: the store is read."""

    def close(self) -> None:
        """Nothing is held open."""
