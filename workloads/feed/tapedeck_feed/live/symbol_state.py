"""One symbol of a live Feed: its trades in order, its bars, and what is to be asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tapedeck_common.market import Trade
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_feed.exchanges.adapter import Markets
from tapedeck_feed.live.bar_series import Fill, Series
from tapedeck_feed.live.options import LiveOptions
from tapedeck_feed.live.resume import Tail
from tapedeck_feed.live.trade_sequencer import Line


@dataclass(eq=False)
class SymbolState:
    """``suspect``: a connection was lost, so something may be missing. ``fresh``: nothing came since."""

    symbol: str
    line: Line
    series: dict[str, Series]
    suspect: bool = False
    fresh: bool = True
    mending: asyncio.Task[None] | None = None
    retry_at: float = 0.0
    asking: set[str] = field(default_factory=set)

    @property
    def begun(self) -> bool:
        """Whether anything ever came."""
        return self.line.last is not None or any(series.wanted_from is not None for series in self.series.values())

    @property
    def settled(self) -> bool:
        """Whether all that has happened is known, as far as can be told."""
        return not self.suspect and self.mending is None and not self.line.waiting


def states_of(
    exchange: str, markets: Markets, options: LiveOptions, tails: Mapping[str, Tail]
) -> dict[str, SymbolState]:
    """All symbols, by name."""
    intervals = options.built_intervals + options.own_intervals
    return {
        symbol: resumed(
            exchange, symbol, intervals, options.fill, tails.get(symbol, Tail()), contiguous=markets.contiguous
        )
        for symbol in markets.symbols
    }


def resumed(
    exchange: str, symbol: str, intervals: Sequence[str], fill: Fill, tail: Tail, *, contiguous: bool
) -> SymbolState:
    """A symbol as a predecessor left it, or as new."""
    last = tail.trades[-1] if tail.trades else None
    line = Line(contiguous=contiguous, last=last, known=(trade.id for trade in tail.trades[-10_000:]))
    line.hold()  # what happened meanwhile comes first
    series = {}
    for interval in intervals:
        series[interval] = one = Series(exchange, symbol, interval, fill=fill)
        closed = tail.bars.get(interval, {})
        if tail.trades or closed:
            one.prime(tail.trades, closed, _complete_from(tail.trades))
    return SymbolState(symbol, line, series, suspect=last is not None or bool(tail.bars))


def reaches_back(tail: Tail, intervals: Iterable[str]) -> bool:
    """Whether the first trade of a tail lies before the interval of its last one, for each length."""
    first, last = tail.trades[0].ts, tail.trades[-1].ts
    return all(first < last - last % INTERVAL_MS[interval] for interval in intervals)


def _complete_from(trades: Sequence[Trade]) -> int | None:
    """From when on all trades are known: from behind the first one found; None where there is none."""
    return trades[0].ts + 1 if trades else None
