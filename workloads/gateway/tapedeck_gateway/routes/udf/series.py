"""Opens the history of a symbol: of a replay, of a transform, or of the store with the live market's running bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.resolutions import BASE, CHART_RESOLUTIONS, is_shown_with, resolution_length
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.history import BarHistory, ReplayBarHistory, ReplayPointHistory
from tapedeck_gateway.market_history import market_history
from tapedeck_gateway.partial_response import PartialResponse
from tapedeck_gateway.store import points
from tapedeck_gateway.store.bar_pages import bar_series
from tapedeck_gateway.store.ticks import tick_history

LIVE_MS = 3_600_000  # a market whose newest bar is older, and older than three of its bars, is not live


@dataclass(frozen=True)
class ChartSeries:
    """What a chart can show of a symbol: ``source`` has bars of a length or None, ``now`` is the last known time."""

    symbol: ChartSymbol
    now: int
    source: Callable[[BarLength], BarHistory | None]

    @property
    def resolutions(self) -> list[str]:
        """The resolutions that it has, the finest first."""
        return [name for name, length in CHART_RESOLUTIONS.items() if self.source(length) is not None]

    @property
    def sampled(self) -> BarLength:
        """The length of the bars that tell most of its prices: the finest of a minute or longer, else the longest."""
        lengths = [CHART_RESOLUTIONS[name] for name in self.resolutions]
        return next((length for length in lengths if length.ms >= BASE.ms), lengths[-1])

    def history(self, resolution: str) -> tuple[BarLength, BarHistory]:
        """The length of a resolution's bars, and their history. Raises InvalidInput."""
        length = resolution_length(resolution)
        found = self.source(length)
        if found is None:
            raise InvalidInput(f"resolution: got {resolution!r}, expected one of {', '.join(self.resolutions)}")
        return length, found

    def bars_of(self, length: BarLength) -> BarHistory:
        """The history of bars of a length that the series has."""
        found = self.source(length)
        if found is None:
            raise InvalidInput(f"resolution: got bars of {length.interval}, expected some of {self.resolutions}")
        return found


def open_series(
    context: GatewayContext, limits: FutureLimits, parts: PartialResponse, symbol: ChartSymbol
) -> ChartSeries:
    """What a chart can show of a symbol, up to its limits. Raises NotFound, Unavailable."""
    if symbol.replay:
        return _of_replay(context, parts, symbol)
    now = min(int(time.time() * 1000), limits.of_market(symbol.exchange))
    return _of_transform(context, symbol, now) if symbol.series else _of_market(context, symbol, now)


def _of_replay(context: GatewayContext, parts: PartialResponse, symbol: ChartSymbol) -> ChartSeries:
    view = context.reader.caught_up_view(symbol)
    now = view.position or 0
    if not symbol.series:
        return _of_base(symbol, now, view.length, ReplayBarHistory(context.pool, symbol, view, parts))
    results = context.reader.caught_up_points(symbol)
    interval = points.finest(results.intervals_of(symbol))
    if interval is None:
        raise NotFound(f"symbol: got {str(symbol)!r}, expected one with results of the replay's transforms")
    return _of_base(symbol, now, points.base_of(interval), ReplayPointHistory(symbol, view, results, interval))


def _of_transform(context: GatewayContext, symbol: ChartSymbol, now: int) -> ChartSeries:
    interval = points.interval_of(context.pool, symbol)
    if interval is None:
        raise NotFound(f"symbol: got {str(symbol)!r}, expected one with stored results of a transform")
    return _of_base(symbol, now, points.base_of(interval), points.PointHistory(context.pool, symbol, interval, now))


def _of_base(symbol: ChartSymbol, now: int, base: BarLength, history: BarHistory) -> ChartSeries:
    return ChartSeries(symbol, now, lambda length: history if is_shown_with(length, base) else None)


def _of_market(context: GatewayContext, symbol: ChartSymbol, now: int) -> ChartSeries:
    pool, market = context.pool, context.symbols.index.market(symbol.exchange, symbol.symbol)
    if market is None or not market.has_prices:
        raise NotFound(f"symbol: got {str(symbol)!r}, expected one with stored bars, trades or tickers")

    series = cache(lambda: bar_series(pool, symbol))
    live = partial(_live_bars, context, symbol, now, series)

    def source(length: BarLength) -> BarHistory | None:
        stored = market_history(pool, symbol, now, market.intervals, length, live, series)
        if stored is not None:
            return stored
        of_ticks = tick_history(pool, symbol, market)
        return None if of_ticks is None else of_ticks(now)

    return ChartSeries(symbol, now, source)


def _live_bars(
    context: GatewayContext,
    symbol: ChartSymbol,
    now: int,
    series: Callable[[], Mapping[str, tuple[int, int]]],
    base: BarLength,
) -> Callable[[int, int], list[Candle]]:
    """The newest bars of the market's topic; none of a market that is not live, or that a replay records."""

    def live(start: int, end: int) -> list[Candle]:
        if symbol.exchange.startswith(RECORDED_PREFIX) or base.interval not in series():
            return []
        _, last = series()[base.interval]
        if last < now - max(3 * base.ms, LIVE_MS):
            return []
        return context.reader.live_bars(symbol.exchange, symbol.symbol, base, start, end)

    return live
