"""The bars of a market of which several series are stored: the rule of /history, the WebSocket and /bars.

What a run had is chosen by ``source_length`` instead. Here a stretch of time has the longest stored bars that fit into
the bars that are asked for, so those of the very length where there are some. Where that series has a hole, and before
and after it, bars are made of the next shorter ones. The bar under way is made of closed bars by this rule, and of the
shortest bars after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle, aggregate, filled
from tapedeck_gateway.charts.resolutions import bases_for
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.history import BarHistory, StoredBarHistory, within
from tapedeck_gateway.store.pool import Pool

HOLES_MAX = 10_000  # that are looked up in the shorter series one by one
STRETCHES_MAX = 20  # of holes that are read one by one; more are read as one

NewestBars = Callable[[BarLength], Callable[[int, int], list[Candle]]]
"""The source of the newest bars of a length: see ``StoredBarHistory.live``."""


def market_history(
    pool: Pool,
    symbol: ChartSymbol,
    now: int,
    intervals: Iterable[str],
    length: BarLength,
    live: NewestBars,
    series: Callable[[], Mapping[str, tuple[int, int]]],
) -> BarHistory | None:
    """The history of a market's bars of a length; None where no stored bars serve.

    ``series`` has the first and last open of each interval.
    """
    layers = [StoredBarHistory(pool, symbol, now, base, live(base), series) for base in bases_for(intervals, length)]
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
        """The last ``count`` bars with open in [start, end). What is read doubles until there are so many."""
        recent = self._recent(length, start, end)
        missing = count - len(recent)
        if missing <= 0:
            return recent[-count:] if count > 0 else []
        known = self._spans
        if not known:
            return recent
        first = length.open_of(min(opened for opened, _ in known))
        begin = first if start is None else max(start, first)
        stop = min(
            length.first_open(end),
            recent[0].ts if recent else length.open_of(self._now),
            length.first_open(max(close for _, close in known)),
        )
        found, width = list[Candle](), missing * length.ms
        while begin < stop and len(found) < missing:
            since = max(begin, length.open_of(stop - width))
            found = [*self._closed(length, since, stop), *found]
            stop, width = since, 2 * width
        return [*found[-missing:], *recent]

    @property
    def _spans(self) -> list[tuple[int, int]]:
        """From the first bar to the last of each series that has some."""
        return [layer.span for layer in self.layers if layer.span != (0, 0)]

    @property
    def _now(self) -> int:
        return self.layers[0].now

    def _closed(self, length: BarLength, start: int, end: int) -> list[Candle]:
        """The bars of a length with open in [start, end), all of which have closed."""
        series, shorter = self.layers[0], self.layers[1:]
        found = series.closed(length, start, end)
        is_whole = length == series.base and len(found) == length.number(end - 1) - length.number(start - 1)
        if not shorter or is_whole:
            return found
        rest, made = FilledBarHistory(shorter), dict[int, Candle]()
        for begin, stop in self._lacking(length, start, end):
            finer = rest._closed(series.base, begin, stop)
            if finer and length != series.base:
                finer = aggregate(
                    filled(series.closed(series.base, begin, stop), finer, series.base), length, self._now
                )
            made |= {bar.ts: bar for bar in finer}
        if not made:
            return found
        if length == series.base:
            return filled(found, made.values(), length)
        whole = {bar.ts: bar for bar in found} | made
        return [whole[opened] for opened in sorted(whole)]

    def _lacking(self, length: BarLength, start: int, end: int) -> list[tuple[int, int]]:
        """The bars of a length, as ranges of their opens, of which the longest series lacks a part that others have."""
        shorter = FilledBarHistory(self.layers[1:])
        spans = shorter._spans
        if not spans:
            return []
        start = max(start, length.open_of(min(first for first, _ in spans)))
        end = min(end, length.first_open(max(close for _, close in spans)))
        holes = self.layers[0].holes(start, end) if start < end else []
        found: list[tuple[int, int]] = []
        for begin, stop in shorter._with_bars(holes):
            opened, closed = length.open_of(begin), length.first_open(stop)
            if found and opened <= found[-1][1]:
                found[-1] = found[-1][0], closed
            else:
                found.append((opened, closed))
        return found if len(found) <= STRETCHES_MAX else [(found[0][0], found[-1][1])]

    def _with_bars(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Of these ranges those in which a bar opens: no night of a market with sessions. Of too many all."""
        if len(ranges) > HOLES_MAX:
            return ranges
        found: set[tuple[int, int]] = set()
        for layer in self.layers:
            found |= set(layer.with_bars([each for each in ranges if each not in found]))
        return [each for each in ranges if each in found]

    def _recent(self, length: BarLength, start: int | None, end: int) -> list[Candle]:
        """The bar under way, and those that ended just now and of which the market's topic has a part.

        The recorder may not have stored them yet. Of these the bars that open before ``end`` and not before ``start``.
        """
        under_way = length.open_of(self._now)
        if start is not None and start > under_way:
            return []
        opened = min(layer.newest_since(length, end) for layer in self.layers)
        if end <= opened:
            return []
        series = self.layers[0]
        shorter = self.layers[1:] if series.base == length else self.layers
        own = series.newest(opened) if series.base == length else []
        lacking = _first_lacking(own, length, opened, under_way)
        made = aggregate(FilledBarHistory(shorter)._known(lacking), length, self._now)
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


def _first_lacking(bars: list[Candle], length: BarLength, start: int, under_way: int) -> int:
    """The open of the first bar from ``start`` on that is not among these as a closed one; at most that under way."""
    closed = {bar.ts for bar in bars if bar.closed}
    while start < under_way and start in closed:
        start = length.close_of(start)
    return start
