"""The series that clients are subscribed to: where their bars come from, and how far they may be shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.push.send_queue import SendQueue
from tapedeck_gateway.store.bars import part_of_bar
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.live_bars import LiveBars
from tapedeck_gateway.topics.replay_view import ReplayView, StoredPart


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

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        return self.view.bars_since(self.symbol.exchange, self.symbol.symbol, self.length, since, self.stored)

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


@dataclass
class MarketBars:
    """A series of the live market. ``until`` is its limit, and ``generation`` counts how often that went back."""

    live: LiveBars
    symbol: ChartSymbol
    length: BarLength
    limits: FutureLimits
    until: int
    generation: int = 0

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        symbol = self.symbol
        return self.generation, self.live.bars_since(symbol.exchange, symbol.symbol, self.length, since, self.until)

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


@dataclass
class SeriesChannel:
    """One series at one resolution, and the clients that show it. ``last`` is the newest bar that was pushed."""

    source: ReplayBars | MarketBars
    generation: int = 0
    last: Candle | None = None
    clients: set[SendQueue] = field(default_factory=set)

    @property
    def changed_by(self) -> str:
        """The replay's uid; empty for the live market, as ``topic_reader.LIVE``."""
        return self.source.symbol.replay

    @property
    def ready(self) -> bool:
        """Whether all that was published before the subscription has been read."""
        return isinstance(self.source, MarketBars) or self.source.view.caught_up

    def queue_position(self, client: SendQueue) -> None:
        """Queue the message ``position`` of a replay."""
        if isinstance(self.source, ReplayBars):
            view = self.source.view
            client.set_state(
                f"replay {view.uid}",
                {
                    "type": "position",
                    "replay": view.uid,
                    "v": view.position,
                    "epoch": str(view.epoch),
                    "published": view.published,
                    "ended": view.ended,
                },
            )

    def close(self) -> None:
        """Release the source."""
        if isinstance(self.source, ReplayBars):
            self.source.view.watchers -= 1
        else:
            self.source.live.unwatch(self.source.symbol.exchange, self.source.symbol.symbol)
