"""Where the bars of a subscribed series come from, and how far they may be shown."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.resolutions import is_shown_with
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.push.channel import JumpReason
from tapedeck_gateway.store.bars import last_bars, part_of_bar
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.live_bars import LiveBars
from tapedeck_gateway.topics.replay_view import ReplayView, StoredPart
from tapedeck_gateway.topics.topic_reader import LIVE, TopicReader

MIN_BARS = 1_500  # stored bars that a live chart begins with


@dataclass
class ReplayBars:
    """A series of a replay up to its position: of its topic, and of the store where the replay plays stored bars.

    ``stored`` is what the store has of the bar that the topic has in part: the view begins within it after a seek, at
    the replay's start, and when its oldest bars are evicted.
    """

    pool: Pool
    view: ReplayView
    symbol: ChartSymbol
    length: BarLength
    stored: StoredPart | None = None

    @property
    def changed_by(self) -> frozenset[str]:
        """Changes of the replay's topic."""
        return frozenset({self.view.uid})

    @property
    def ready(self) -> bool:
        """Whether all that was published before the subscription has been read."""
        return self.view.caught_up

    @property
    def jumped_by(self) -> JumpReason:
        """What the generation counted last."""
        return self.view.jumped_by

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        """The generation, and the bars that open at ``since`` or later; for None the newest."""
        return self.view.bars_since(self.symbol.exchange, self.symbol.symbol, self.length, since, self.stored)

    def recent(self, count: int) -> list[Candle]:
        """The last ``count`` bars, of those that the topic has."""
        first = self.view.first_open(self.symbol.exchange, self.symbol.symbol)
        return [] if first is None else _last_bars(self, self.length.open_of(first), count)

    def late_after(self, number: int) -> tuple[int, list[int] | None]:
        """As ``ReplayView.late_after``."""
        return self.view.late_after(self.symbol.exchange, self.symbol.symbol, number)

    @property
    def must_refresh(self) -> bool:
        """Whether the stored part of a bar is needed that is not there yet."""
        start = self.view.topic_start
        return self.length.open_of(start) < start and (self.stored is None or self.stored.until != start)

    def refresh(self) -> bool:
        """Load the stored part; returns whether bars may have changed. Raises Unavailable."""
        start = self.view.topic_start
        opened, base = self.length.open_of(start), self.view.stored_length(self.symbol.symbol)
        part = part_of_bar(self.pool, self.symbol.exchange, self.symbol.symbol, base, opened, start)
        self.stored = StoredPart(start, part)
        return True

    def keep_open(self) -> None:
        """Keep the view until ``close``."""
        self.view.watch()

    def close(self) -> None:
        """Release the view."""
        self.view.unwatch()


@dataclass
class MarketBars:
    """A series of the live market. ``until`` is its limit, and ``generation`` counts how often that went back."""

    live: LiveBars
    symbol: ChartSymbol
    length: BarLength
    limits: FutureLimits
    until: int
    generation: int = 0
    changed_by = frozenset({LIVE})
    ready = True
    jumped_by: JumpReason = "seek"

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        """The generation, and the bars that open at ``since`` or later; for None the newest."""
        symbol = self.symbol
        return self.generation, self.live.bars_since(symbol.exchange, symbol.symbol, self.length, since, self.until)

    def recent(self, count: int) -> list[Candle]:
        """The last ``count`` bars, of those in memory that are whole."""
        return _last_bars(self, self.live.first_open(self.symbol.exchange, self.symbol.symbol, self.length), count)

    def late_after(self, number: int) -> tuple[int, list[int] | None]:
        """As ``LiveBars.late_after``."""
        return self.live.late_after(self.symbol.exchange, self.symbol.symbol, number)

    @property
    def must_refresh(self) -> bool:
        """Whether the limit may change: a replay records this market."""
        return self.symbol.exchange.startswith(RECORDED_PREFIX) and not self.limits.future

    def refresh(self) -> bool:
        """Take the current limit; returns whether it changed. Raises Unavailable."""
        until = self.limits.of_market(self.symbol.exchange)
        changed, self.generation = until != self.until, self.generation + (until < self.until)
        self.until = until
        return changed

    def keep_open(self) -> None:
        """The series is watched since it was opened."""

    def close(self) -> None:
        """Release the series."""
        self.live.unwatch(self.symbol.exchange, self.symbol.symbol)


def _last_bars(source: ReplayBars | MarketBars, first: int, count: int) -> list[Candle]:
    """The last ``count`` bars that open at ``first`` or later, always the newest.

    The range doubles until it holds so many: a market that is closed at night has fewer bars than hours.
    """
    _, newest = source.bars_since(None)
    if not newest:
        return []
    last = newest[-1].ts
    span = count * source.length.ms
    while True:
        since = min(max(source.length.open_of(last - span), first), last)
        found = source.bars_since(since)[1]
        if len(found) >= count or since <= first or since == last:
            return found[-count:]
        span *= 2


def open_replay_bars(pool: Pool, reader: TopicReader, symbol: ChartSymbol, length: BarLength) -> ReplayBars:
    """The bars of a replay. Raises InvalidInput, NotFound, Unavailable."""
    view = reader.caught_up_view(symbol)
    if not is_shown_with(length, view.length):
        raise InvalidInput(
            f"interval: got bars of {length.interval}, expected a multiple of the replay's {view.length.interval}"
        )
    return ReplayBars(pool, view, symbol, length)


def open_market_bars(
    pool: Pool, reader: TopicReader, symbol: ChartSymbol, base: BarLength, length: BarLength, limits: FutureLimits
) -> MarketBars:
    """The bars of the live market, made of those of the length ``base`` and watched from now on. Raises Unavailable."""
    until = limits.of_market(symbol.exchange)
    closed = min(int(time.time() * 1000), until - base.ms + 1)
    count = MIN_BARS + length.ms // base.ms  # the bar under way needs all that it consists of
    stored = last_bars(pool, symbol.exchange, symbol.symbol, base, base, closed, count)
    live = reader.live.watch(base, symbol.exchange, symbol.symbol, stored)
    reader.start()
    return MarketBars(live, symbol, length, limits, until)
