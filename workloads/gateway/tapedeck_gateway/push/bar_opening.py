"""Opening the bars that a client subscribes to, made of what /history makes them of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.resolutions import bases_for, is_shown_with
from tapedeck_gateway.charts.symbol_index import MarketSymbol
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.push.bar_channel import PushedBars
from tapedeck_gateway.push.bar_sources import open_market_bars, open_replay_bars
from tapedeck_gateway.push.derived_bars import ReplayPointBars, StoredRowBars
from tapedeck_gateway.store import points
from tapedeck_gateway.store.grouped_history import GroupedHistory
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.store.ticks import tick_history
from tapedeck_gateway.topics.topic_reader import TopicReader

REREAD_RESULTS = 20  # a transform's results of the last 16 bars follow a correction
REREAD_MS = 60_000  # of bars of trades, tickers and their results; two bars at least


@dataclass(frozen=True)
class BarOpening:
    """Opens the bars of series. ``market`` finds what the store has of an exchange's symbol."""

    pool: Pool
    reader: TopicReader
    market: Callable[[str, str], MarketSymbol | None]

    def open(self, symbol: ChartSymbol, length: BarLength, limits: FutureLimits) -> PushedBars:
        """The bars of a series. Raises InvalidInput, NotFound, Unavailable."""
        if symbol.series:
            return (self._replay_results if symbol.replay else self._stored_results)(symbol, length, limits)
        if symbol.replay:
            return open_replay_bars(self.pool, self.reader, symbol, length)
        return self._market_bars(symbol, length, limits)

    def _replay_results(self, symbol: ChartSymbol, length: BarLength, _limits: FutureLimits) -> PushedBars:
        view, results = self.reader.caught_up_view(symbol), self.reader.caught_up_points(symbol)
        interval = _shown_interval(symbol, points.finest(results.intervals_of(symbol)), length)
        return ReplayPointBars(view, results, symbol, interval, length)

    def _stored_results(self, symbol: ChartSymbol, length: BarLength, limits: FutureLimits) -> PushedBars:
        interval = _shown_interval(symbol, points.interval_of(self.pool, symbol), length)

        def history(now: int) -> GroupedHistory:
            return points.PointHistory(self.pool, symbol, interval, now)

        return StoredRowBars(history, symbol, length, limits, REREAD_RESULTS if interval else _reread_ticks(length))

    def _market_bars(self, symbol: ChartSymbol, length: BarLength, limits: FutureLimits) -> PushedBars:
        market = self.market(symbol.exchange, symbol.symbol)
        if market is None or not market.has_prices:
            raise NotFound(f"symbol: got {str(symbol)!r}, expected one with stored bars, trades or tickers")
        bases = bases_for(market.intervals, length)
        if bases:
            return open_market_bars(self.pool, self.reader, symbol, bases, length, limits)
        ticks = tick_history(self.pool, symbol, market)
        if ticks is None:
            stored = " or ".join(market.intervals)
            raise InvalidInput(f"interval: got bars of {length.interval}, expected a multiple of {stored}")
        return StoredRowBars(ticks, symbol, length, limits, _reread_ticks(length))


def _shown_interval(symbol: ChartSymbol, interval: str | None, length: BarLength) -> str:
    """The interval of results that bars of this length are made of; empty for results of trades and tickers."""
    if interval is None:
        raise NotFound(f"symbol: got {str(symbol)!r}, expected one with results of a transform")
    base = points.base_of(interval)
    if not is_shown_with(length, base):
        raise InvalidInput(f"interval: got bars of {length.interval}, expected a multiple of {base.interval}")
    return interval


def _reread_ticks(length: BarLength) -> int:
    return max(2, REREAD_MS // length.ms)
