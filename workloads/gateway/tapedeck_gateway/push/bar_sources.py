"""Where the bars of a subscribed series come from, and how far they may be shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle, aggregate, filled
from tapedeck_gateway.charts.late_bars import LateBars
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
    """The bars of a live market, by the rule of ``market_history``. ``layers`` are its series, the longest bars first.

    ``until`` is its limit, and ``generation`` counts how often that went back. ``whole`` are the layers of which memory
    has all that is stored. One channel reads it.
    """

    layers: Sequence[LiveBars]
    symbol: ChartSymbol
    length: BarLength
    limits: FutureLimits
    until: int
    whole: Sequence[LiveBars] = ()
    generation: int = 0
    changed_by = frozenset({LIVE})
    ready = True
    jumped_by: JumpReason = "seek"

    def __post_init__(self) -> None:
        self._late = LateBars()
        self._noted = [0] * len(self.layers)
        self._began = {id(layer): self._first_of(layer) for layer in self.whole}
        self._closed = [max((bar.ts for bar in self._closed_since(layer, 0)), default=0) for layer in self.layers]

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        """The generation, and the bars that open at ``since`` or later; for None the newest."""
        if since is None:
            newest = [bars[-1].ts for layer in self.layers if (bars := self._of(layer, self.length, None))]
            return self.generation, self._made(0, self.length, max(newest))[-1:] if newest else []
        return self.generation, self._made(0, self.length, since)

    def _made(self, number: int, length: BarLength, since: int) -> list[Candle]:
        """Bars of a length that open at ``since`` or later, of the layers from a number on."""
        layer = self.layers[number]
        if number == len(self.layers) - 1:
            return self._of(layer, length, since)
        bars = filled(self._of(layer, layer.base, since), self._made(number + 1, layer.base, since), layer.base)
        if length == layer.base:
            return bars
        closed_until = max((layer.base.close_of(bar.ts) for bar in bars if bar.closed), default=0)
        return aggregate(bars, length, closed_until)

    def _of(self, layer: LiveBars, length: BarLength, since: int | None) -> list[Candle]:
        return layer.bars_since(self.symbol.exchange, self.symbol.symbol, length, since, self.until)

    def _closed_since(self, layer: LiveBars, since: int) -> list[Candle]:
        return [bar for bar in self._of(layer, layer.base, since) if bar.closed]

    def recent(self, count: int) -> list[Candle]:
        """The last ``count`` bars, of those in memory that are whole."""
        return _last_bars(self, max(map(self._whole_from, self.layers)), count)

    def _whole_from(self, layer: LiveBars) -> int:
        """The open of the first bar of which memory has all of a layer; 0 where that are all bars."""
        first, began = self._first_of(layer), self._began.get(id(layer))
        has_all = began is not None and (first == began or not began)  # later ones are evicted, or were the first
        return 0 if has_all else first

    def _first_of(self, layer: LiveBars) -> int:
        return layer.first_open(self.symbol.exchange, self.symbol.symbol, self.length)

    def late_after(self, number: int) -> tuple[int, list[int] | None]:
        """The number of the latest late bar, and the opens of those after ``number``, as ``LateBars.after``.

        Late is what a series has late, and each new bar of a longer series, which replaces one made of shorter ones.
        """
        known = True
        for at, layer in enumerate(self.layers):
            self._noted[at], late = layer.late_after(self.symbol.exchange, self.symbol.symbol, self._noted[at])
            known = known and late is not None
            new = self._closed_since(layer, self._closed[at] + 1) if layer is not self.layers[-1] else []
            self._closed[at] = max((bar.ts for bar in new), default=self._closed[at])
            for opened in [*(late or ()), *(bar.ts for bar in new)]:
                self._late.note(opened)
        return self._late.number, self._late.after(number) if known else None

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
        """The series are watched since they were opened."""

    def close(self) -> None:
        """Release the series."""
        for layer in self.layers:
            layer.unwatch(self.symbol.exchange, self.symbol.symbol)


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
    pool: Pool,
    reader: TopicReader,
    symbol: ChartSymbol,
    bases: Sequence[BarLength],
    length: BarLength,
    limits: FutureLimits,
) -> MarketBars:
    """The bars of the live market, made of those of the lengths ``bases``, the longest first, and watched from now on.

    Raises Unavailable.
    """
    until = limits.of_market(symbol.exchange)
    stored, counts = list[list[Candle]](), list[int]()
    for base in bases:
        closed = min(int(time.time() * 1000), until - base.ms + 1)
        counts.append(MIN_BARS + length.ms // base.ms)  # the bar under way needs all that it consists of
        stored.append(last_bars(pool, symbol.exchange, symbol.symbol, base, base, closed, counts[-1]))
    layers = [
        reader.live.watch(base, symbol.exchange, symbol.symbol, found)
        for base, found in zip(bases, stored, strict=True)
    ]
    reader.start()
    whole = [layer for layer, found, count in zip(layers, stored, counts, strict=True) if len(found) < count]
    return MarketBars(layers, symbol, length, limits, until, whole)
