"""The bars of a market of which several series are stored: the rule by which all interfaces choose among them.

A stretch of time has the longest stored bars that fit into the bars that are asked for, so those of the very length
where there are some, as Replays and Backtests have them. Where that series has a hole, and before and after it, bars
are made of the next shorter ones. The bar under way is made of closed bars by this rule, and of the shortest bars
after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle, aggregate, filled
from tapedeck_gateway.charts.resolutions import bases_for
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.history import BarHistory, StoredBarHistory, within
from tapedeck_gateway.store.pool import Pool

STRETCHES_MAX = 20  # of holes that are read one by one; more are read as one

NewestBars = Callable[[BarLength], Callable[[int, int], list[Candle]]]
"""The source of the newest bars of a length: see ``StoredBarHistory.live``."""


def market_history(
    pool: Pool, symbol: ChartSymbol, now: int, intervals: Sequence[str], length: BarLength, live: NewestBars
) -> BarHistory | None:
    """The history of a market's bars of a length; None where no stored bars serve."""
    layers = [StoredBarHistory(pool, symbol, now, base, live(base)) for base in bases_for(intervals, length)]
    if len(layers) < 2:
        return layers[0] if layers else None
    return FilledBarHistory(layers)


@dataclass(frozen=True)
class FilledBarHistory:
    """Several stored series of one market as one, by the rule. ``layers`` begin with the longest bars."""

    layers: Sequence[StoredBarHistory]

    def between(self, length: BarLength, start: int, end: int, limit: int) -> list[Candle]:
        return self._newest(length, length.first_open(start), end, limit)

    def last(self, length: BarLength, end: int, count: int) -> list[Candle]:
        return self._newest(length, None, end, count)

    def last_open_before(self, length: BarLength, ts: int) -> int | None:
        found = [layer.last_open_before(length, ts) for layer in self.layers]
        return max((opened for opened in found if opened is not None), default=None)

    def _newest(self, length: BarLength, start: int | None, end: int, count: int) -> list[Candle]:
        """The last ``count`` bars with open in [start, end). The range doubles until it holds so many."""
        recent = self._recent(length, start, end)
        missing = count - len(recent)
        known = [layer.span for layer in self.layers if layer.span != (0, 0)]
        if missing <= 0 or not known:
            return recent[-count:] if count > 0 else []
        first = length.open_of(min(opened for opened, _ in known))
        begin = first if start is None else max(start, first)
        stop = min(
            length.first_open(end),
            recent[0].ts if recent else length.open_of(self._now),
            length.first_open(max(close for _, close in known)),
        )
        width = missing * length.ms
        while begin < stop:
            since = max(begin, length.open_of(stop - width))
            found = self._closed(length, since, stop)
            if len(found) >= missing or since == begin:
                return [*found[-missing:], *recent]
            width *= 2
        return recent

    @property
    def _now(self) -> int:
        return self.layers[0].now

    def _closed(self, length: BarLength, start: int, end: int) -> list[Candle]:
        """The bars of a length with open in [start, end), all of which have closed."""
        series, shorter = self.layers[0], self.layers[1:]
        found = series.closed(length, start, end)
        if not shorter:
            return found
        rest, made = FilledBarHistory(shorter), dict[int, Candle]()
        for begin, stop in self._lacking(length, start, end):
            finer = rest._closed(series.base, begin, stop)
            if finer and length != series.base:
                finer = aggregate(
                    filled(series.closed(series.base, begin, stop), finer, series.base), length, self._now
                )
            made |= {bar.ts: bar for bar in finer}
        if length == series.base:
            return filled(found, made.values(), length)
        whole = {bar.ts: bar for bar in found} | made
        return [whole[opened] for opened in sorted(whole)]

    def _lacking(self, length: BarLength, start: int, end: int) -> list[tuple[int, int]]:
        """The bars of a length, as ranges of their opens, of which the longest series lacks some and others may not."""
        spans = [layer.span for layer in self.layers[1:]]
        start = max(start, length.open_of(min(first for first, _ in spans)))
        end = min(end, length.first_open(max(close for _, close in spans)))
        found: list[tuple[int, int]] = []
        for begin, stop in self.layers[0].holes(start, end) if start < end else ():
            opened, closed = length.open_of(begin), length.first_open(stop)
            if found and opened <= found[-1][1]:
                found[-1] = found[-1][0], closed
            else:
                found.append((opened, closed))
        return found if len(found) <= STRETCHES_MAX else [(found[0][0], found[-1][1])]

    def _recent(self, length: BarLength, start: int | None, end: int) -> list[Candle]:
        """The bar under way, and those that ended just now and of which the market's topic has a part.

        The recorder may not have stored them yet. Of these the bars that open before ``end`` and not before ``start``.
        """
        under_way, finest = length.open_of(self._now), self.layers[-1]
        since = finest.recent_since(length)
        opened = since if finest.live(since, under_way) else under_way
        if not (within(opened, start, end) or within(under_way, start, end)):
            return []
        series = self.layers[0]
        shorter = self.layers[1:] if series.base == length else self.layers
        own = series.newest(opened) if series.base == length else []
        made = aggregate(FilledBarHistory(shorter)._known(opened), length, self._now)
        return [bar for bar in filled(own, made, length) if within(bar.ts, start, end)]

    def _known(self, start: int) -> list[Candle]:
        """What is known from ``start`` on as bars of the longest series' length, with the one under way."""
        series, shorter, now = self.layers[0], self.layers[1:], self._now
        if not shorter:
            return series.newest(start)
        # The bar before the one under way may not be stored yet.
        recent = max(start, series.base.open_of(series.base.open_of(now) - 1))
        newest = aggregate(FilledBarHistory(shorter)._known(recent), series.base, now)
        return [*self._closed(series.base, start, recent), *filled(series.newest(recent), newest, series.base)]
