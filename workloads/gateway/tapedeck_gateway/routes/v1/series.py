"""What a request reads: the bars of a symbol, of the store or of a replay, up to what may be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tapedeck_common.market import trade_id_key, trade_key
from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.api_types.market import ReplayProgress
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.resolutions import bases_for, is_shown_with
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.context import GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.history import BarHistory, ReplayBarHistory, no_running_bars
from tapedeck_gateway.market_history import market_history
from tapedeck_gateway.partial_response import PartialResponse
from tapedeck_gateway.routes.v1.parameters import ROWS_MAX, TimeRange, now_ms
from tapedeck_gateway.store import points
from tapedeck_gateway.store.bar_pages import BarRange, stored_intervals
from tapedeck_gateway.store.page import Page, PageLoader, Place
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.control_records import LATEST

WIDTH_MAX = 1_000_000  # bars of a range that is searched at once
RECORDED_MS = 60_000  # after its end a bar is given even if its last part is not stored: there may be none


@dataclass(frozen=True)
class HistoryBars:
    """Closed bars of a history with open in [start, end)."""

    history: BarHistory
    length: BarLength
    start: int
    end: int

    def page(self, place: Place | None, limit: int) -> Page:
        """The first ``limit`` bars after a place = (open,)."""
        start = self.start if place is None else self.length.close_of(int(place[0]))
        width = limit
        while start < self.end:
            stop = min(self.end, self.length.shifted(start, min(width, WIDTH_MAX)))
            found = _closed(self.history.between(self.length, start, stop, ROWS_MAX + 1))
            if len(found) > ROWS_MAX:  # a wide range behind a gap: its first bars are cut off
                width //= 2
            elif found:
                return self._page(found, limit, stop)
            else:
                start, width = stop, width * 2
        return Page((), None)

    def _page(self, found: list[Candle], limit: int, stop: int) -> Page:
        """A page of bars that open before ``stop``."""
        shown = found[:limit]
        if len(found) > limit:
            return Page(_columns(shown), (shown[-1].ts,))
        return Page(_columns(shown), None if stop >= self.end else (self.length.open_of(stop - 1),))


@dataclass(frozen=True)
class PlayedBars(HistoryBars):
    """Those of a replay."""

    progress: ReplayProgress


ChosenBars: TypeAlias = BarRange | HistoryBars
"""Bars of one stored series, or of several and of replays."""


def bars_of(
    context: GatewayContext,
    limits: FutureLimits,
    parts: PartialResponse,
    symbol: ChartSymbol,
    length: BarLength,
    span: TimeRange,
) -> ChosenBars:
    """The closed bars of a symbol in a range. Raises InvalidInput, NotFound and Unavailable."""
    if symbol.series:
        raise InvalidInput(f"symbol: got {str(symbol)!r}, expected a market; /api/v1/points has results of transforms")
    if symbol.replay:
        view = context.reader.caught_up_view(symbol)
        if not is_shown_with(length, view.length):
            raise NotFound(f"interval: got {length.interval}, expected {view.length.interval}, or what consists of it")
        position, epoch, epoch_start, ended = view.progress()  # before the bars, which are then complete up to it
        end = position or 0 if span.end is None else min(span.end, position or 0)
        progress = ReplayProgress(position, str(epoch), epoch_start, ended)
        history = ReplayBarHistory(context.pool, symbol, view, parts)
        first = history.first_open(length)
        start = end if first is None else max(first, span.start or 0)
        return PlayedBars(history, length, start, end, progress)
    return _of_market(context.pool, symbol, length, span, min(now_ms(), limits.of_market(symbol.exchange)))


def _of_market(pool: Pool, symbol: ChartSymbol, length: BarLength, span: TimeRange, now: int) -> ChosenBars:
    series = stored_intervals(pool, symbol)
    bases = bases_for(series, length)
    history = market_history(pool, symbol, now, series, length, lambda _: no_running_bars, lambda: series)
    if history is None:
        raise NotFound(
            f"interval: got {length.interval}, expected one of {', '.join(series)}, or one that consists of their bars"
        )
    first = length.open_of(min(series[base.interval][0] for base in bases))
    start = first if span.start is None else max(first, length.first_open(span.start))
    closed = closed_until(length, now, max(base.close_of(series[base.interval][1]) for base in bases))
    end = closed if span.end is None else min(span.end, closed)
    if len(bases) == 1:
        return BarRange(pool, symbol, bases[0], length, start, end)
    return HistoryBars(history, length, start, end)


def closed_until(length: BarLength, now: int, stored_until: int) -> int:
    """The end of the last bar of a length that has closed by ``now`` and of which nothing is about to be stored."""
    closed = min(length.open_of(now), length.close_of(stored_until - 1))
    is_stored = stored_until >= closed or now - closed >= RECORDED_MS
    return closed if is_stored else length.open_of(closed - 1)


def replay_trades(context: GatewayContext, symbol: ChartSymbol, span: TimeRange) -> PageLoader:
    """What loads pages of a replay's trades up to its position, as of stored ones.

    Raises InvalidInput for a replay of bars and for a range of which trades are no longer known, NotFound, Unavailable.
    """
    view = context.reader.caught_up_view(symbol)
    if not view.plays_trades:
        raise InvalidInput(f"symbol: got {str(symbol)!r}, expected one of a replay with channel: trades")
    first, end = span.start or 0, LATEST if span.end is None else span.end

    def load(place: Place | None, limit: int) -> Page:
        rows, since = view.trades_between(symbol.exchange, symbol.symbol, first, end)
        if first < since:
            raise InvalidInput(
                f"from: expected {since} or later: of a replay the gateway knows the last trades; those of the store "
                "have its market's symbol"
            )
        if place is not None:
            rows = [each for each in rows if trade_key(each) > (place[0], place[1], *trade_id_key(str(place[2])))]
        shown = rows[:limit]
        values = ((t.ts, t.seq, t.id, t.price, t.amount, t.side) for t in shown)
        following = (shown[-1].ts, shown[-1].seq, shown[-1].id) if len(rows) > limit else None
        return Page(tuple(zip(*values, strict=True)), following)

    return load


def replay_points(
    context: GatewayContext, symbol: ChartSymbol, span: TimeRange, interval: str | None
) -> tuple[str, PageLoader]:
    """The interval of a replay's results up to its position, and what loads their pages, as of stored ones.

    Raises NotFound, Unavailable.
    """
    view, results = context.reader.caught_up_view(symbol), context.reader.caught_up_points(symbol)
    chosen = points.chosen_interval(symbol, results.intervals_of(symbol), interval)
    first, end = span.start or 0, LATEST if span.end is None else span.end

    def load(place: Place | None, limit: int) -> Page:
        rows = [each for each in results.points(symbol, chosen, view.valid_until) if first <= each.ts < end]
        if place is not None:
            ts, seq, id_ = place
            after = (ts, seq, *trade_id_key(str(id_)))
            rows = [each for each in rows if (each.ts, each.seq, *trade_id_key(each.id)) > after]
        shown = rows[:limit]
        values = ((p.ts, p.id, p.value, p.open, p.high, p.low, p.volume) for p in shown)
        following = (shown[-1].ts, shown[-1].seq, shown[-1].id) if len(rows) > limit else None
        return Page(tuple(zip(*values, strict=True)), following)

    return chosen, load


def _closed(candles: list[Candle]) -> list[Candle]:
    return [candle for candle in candles if candle.closed]


def _columns(candles: list[Candle]) -> tuple[list[float], ...]:
    if not candles:
        return ()
    rows = ((c.ts, c.open, c.high, c.low, c.close, c.volume) for c in candles)
    return tuple(list(column) for column in zip(*rows, strict=True))
