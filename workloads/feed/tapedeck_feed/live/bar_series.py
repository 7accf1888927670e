"""The bars of one symbol at one interval, built from trades in any order. Pure: time comes in as a parameter.

An interval passes through these states:

| state | in its builder | what publishes it |
|---|---|---|
| running | not closed | ``running_bar``, while its values change |
| published | closed, ``revision`` set | ``close_until``; a later change is a correction with the next revision |
| to be recovered | closed, in ``to_recover`` | ``replace`` with the exchange's bar, or ``fill_untraded`` |

A bar that closes with every trade seen is published at once. One whose beginning was not seen, or whose trades were
lost, is to be recovered from the exchange first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from tapedeck_common.market import Bar, Trade
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_feed.live.bar_builder import BarBuilder, Content, build_bars

Fill = Literal["none", "previous"]
CLOSED_MAX = 240  # closed bars that a late trade can still correct
FILL_MAX = 100_000  # bars that fill one stretch without trades
RECOVERED_MAX = 10_000  # bars that are recovered after one loss of trades


class BarSeries:
    """Bars of exchange, symbol and interval.

    - ``to_recover``: open times of closed bars whose values only the exchange knows.
    - ``late``: how many trades arrived after the close of their bar.

    With ``fill`` "previous" an interval without a trade gets a bar with the close before it, else it gets none.
    """

    def __init__(self, exchange: str, symbol: str, interval: str, *, fill: Fill = "none") -> None:
        self.interval = interval
        self.length = BAR_LENGTHS[interval]
        self.late = 0
        self.to_recover: set[int] = set()
        self._exchange = exchange
        self._symbol = symbol
        self._fill = fill
        self._builders: dict[int, BarBuilder] = {}
        self._next: int | None = None  # open time of the first interval that is not closed
        self._last_close: float | None = None
        self._complete_since: int | None = None  # every trade from this time on was seen
        self._newest_from_exchange: int | None = None  # open time of the newest bar that the exchange sent itself

    @property
    def next_open(self) -> int | None:
        """The open time of the first interval that is not closed; None before the first close."""
        return self._next

    @property
    def recovery_start(self) -> int | None:
        """The open time from which to request the exchange's own bars after a loss; None before the first bar.

        The newest bar that the exchange sent is included: the clock may have closed it before its last change.
        """
        if self._newest_from_exchange is not None:
            return self._newest_from_exchange
        return min(self._builders, default=None) if self._next is None else self._next

    # Bars from trades.

    def resume(self, trades: Iterable[Trade], closed: Mapping[int, Bar], complete_since: int | None) -> None:
        """Continue after a predecessor's published trades and closed bars, by open time.

        ``trades`` are all trades from ``complete_since`` on, milliseconds UTC, None where there are none.
        """
        self._complete_since = complete_since
        for bar in closed.values():
            builder = self._builders[bar.ts] = BarBuilder.from_bar(bar)
            builder.revision, builder.closed, builder.complete, builder.updated = bar.rev, True, False, False
        if closed:
            newest = closed[max(closed)]
            self._next, self._last_close = self.length.close_of(newest.ts), newest.close
            self._newest_from_exchange = newest.ts
        built = build_bars(trades, self.length)
        for start, builder in built.items():
            published = closed.get(start)
            builder.complete = complete_since is not None and start >= complete_since
            if published is None and (self._next is None or start >= self._next):
                self._builders[start] = builder
            elif published is not None and builder.complete:  # every trade is here: late ones can correct it
                builder.revision, builder.closed, builder.updated = published.rev, True, False
                self._builders[start] = builder
        self._resume_recovery(built, closed)

    def _resume_recovery(self, built: Mapping[int, BarBuilder], closed: Mapping[int, Bar]) -> None:
        """Recover closed bars that have trades and were not published.

        The predecessor did not see them whole, requested them, and may have ended before the response.
        """
        if not closed or self._next is None:
            return
        oldest = min(closed)
        first = max((start for start in built if start < oldest), default=oldest)
        for start in sorted(built.keys() - closed.keys()):
            if first <= start < self._next:
                builder = self._builders[start] = built[start]
                builder.revision, builder.closed, builder.complete, builder.updated = None, True, False, False
                self.to_recover.add(start)

    def add(self, trade: Trade) -> list[Bar]:
        """Add a trade to the interval of its own time; returns corrections where that is closed."""
        start = self.length.open_of(trade.ts)
        builder = self._builders.get(start)
        if builder is None:
            if self._next is not None and start < self._next:
                return self._add_to_closed_empty(start, trade)
            if self._complete_since is None:
                self._complete_since = trade.ts
            builder = self._builders[start] = BarBuilder.filled(trade.price)
            builder.complete = start >= self._complete_since
        builder.add(trade)
        return self._correct(start, builder) if builder.closed else []

    def close_until(self, now: int) -> list[Bar]:
        """Close every interval that ended at or before ``now``, milliseconds UTC; returns the closed bars in order."""
        if self._next is None:
            if not self._builders:
                return []
            self._next = min(self._builders)
        if now < self.length.close_of(self._next):
            return []
        closed = list(self._close(now))
        correctable = sorted(
            start for start, builder in self._builders.items() if builder.closed and not builder.is_unknown
        )
        for start in correctable[:-CLOSED_MAX]:
            del self._builders[start]
        return closed

    def running_bar(self) -> Bar | None:
        """The newest bar that is not closed, if it changed since the last call."""
        if not self._builders:
            return None
        start = max(self._builders)
        builder = self._builders[start]
        if builder.closed or not builder.updated:
            return None
        builder.updated = False
        return self._bar(start, builder)

    # Bars from the exchange.

    def update(self, bar: Bar) -> list[Bar]:
        """Take the exchange's own bar of a stream; returns the correction where the interval is closed."""
        newest = self._newest_from_exchange
        self._newest_from_exchange = bar.ts if newest is None else max(newest, bar.ts)
        builder = self._builders.get(bar.ts)
        if (builder is not None and builder.closed) or (self._next is not None and bar.ts < self._next):
            return self.replace(bar)
        if builder is None:
            self._builders[bar.ts] = BarBuilder.from_bar(bar)
        elif not self.matches(bar):
            builder.set_values(bar)
            builder.updated = True
        return []

    def matches(self, bar: Bar) -> bool:
        """Whether the series has the same values for the bar's interval."""
        builder = self._builders.get(bar.ts)
        return (
            builder is not None
            and not builder.is_unknown
            and builder.values == (bar.open, bar.high, bar.low, bar.close, bar.volume)
        )

    def mark_lost(self, since: int, until: int) -> None:
        """Trades of [since, until] are lost: their bars, the newest RECOVERED_MAX of them, have to be recovered."""
        for start in self.length.open_times(self.length.open_of(since), until + 1, RECOVERED_MAX):
            builder = self._builders.get(start)
            if builder is None:
                is_over = self._next is not None and start < self._next
                builder = self._builders[start] = BarBuilder.unknown(closed=is_over)
            builder.complete = False
            if builder.closed:
                self.to_recover.add(start)

    def replace(self, bar: Bar) -> list[Bar]:
        """Take the exchange's closed bar; returns it with the next revision, and the filled bars that change with it.

        Returns nothing where the published values are the same.
        """
        builder = self._builders.get(bar.ts)
        replaced = BarBuilder.from_bar(bar)
        replaced.closed, replaced.complete, replaced.updated = True, False, False
        if builder is not None and builder.revision is not None:
            if builder.values == replaced.values:
                return []
            replaced.revision = builder.revision + 1
        elif builder is None and self._next is not None and bar.ts < min(self._builders, default=self._next):
            replaced.revision = 1  # it was forgotten, and may have been published as revision 0
        else:
            replaced.revision = 0
        self._builders[bar.ts] = replaced
        if self._next is None or bar.ts >= self._next:
            self._next = self.length.close_of(bar.ts)
        return [self._bar(bar.ts, replaced), *self._refill_after(bar.ts, bar.close)]

    def fill_untraded(self, starts: Iterable[int]) -> list[Bar]:
        """The exchange has no bar for these open times: unknown ones had no trade. Returns the bars that fill them."""
        filled: list[Bar] = []
        for start in sorted(starts):
            builder, before = self._builders.get(start), self._builders.get(self.length.open_of(start - 1))
            if builder is None or not builder.is_unknown:
                continue
            if self._fill == "none" or before is None or before.is_unknown:
                del self._builders[start]
                continue
            builder.fill(before.close)
            builder.revision = 0
            filled += [self._bar(start, builder), *self._refill_after(start, builder.close)]
        return filled

    def discard_unknown(self, starts: Iterable[int]) -> None:
        """The exchange does not serve these intervals: forget those of which nothing is known."""
        for start in starts:
            if (builder := self._builders.get(start)) is not None and builder.is_unknown:
                del self._builders[start]

    def with_trades(self, starts: Iterable[int]) -> list[int]:
        """Those of these open times whose interval had a trade."""
        return sorted(
            start
            for start in starts
            if (builder := self._builders.get(start)) is not None and builder.content is Content.TRADED
        )

    def _close(self, now: int) -> Iterator[Bar]:
        assert self._next is not None
        end = self.length.open_of(now)
        filled = self._fill == "previous"
        starts = self.length.open_times(self._next, end, FILL_MAX) if filled else self._running_before(end)
        for start in starts:
            builder = self._builders.get(start)
            if builder is None:
                if self._last_close is None:
                    continue
                builder = self._builders[start] = BarBuilder.filled(self._last_close)
            builder.closed, builder.updated = True, False
            if not builder.is_unknown:
                self._last_close = builder.close
            if builder.complete:
                builder.next_revision()
                yield self._bar(start, builder)
            else:
                self.to_recover.add(start)
        self._next = end

    def _running_before(self, end: int) -> list[int]:
        return sorted(start for start, builder in self._builders.items() if not builder.closed and start < end)

    def _correct(self, start: int, builder: BarBuilder) -> list[Bar]:
        """A late trade changed a closed bar: its correction, and those of the bars filled with its close."""
        self.late += 1
        if not builder.complete:
            self.to_recover.add(start)
            return []
        builder.next_revision()
        return [self._bar(start, builder), *self._refill_after(start, builder.close)]

    def _add_to_closed_empty(self, start: int, trade: Trade) -> list[Bar]:
        """A late trade of a closed interval without a builder: it had no trade, or was forgotten."""
        oldest = min(self._builders, default=None)
        if oldest is None or start < oldest:
            self.late += 1
            self.to_recover.add(start)
            return []
        builder = self._builders[start] = BarBuilder.filled(trade.price)
        builder.closed = True
        builder.add(trade)
        return self._correct(start, builder)

    def _refill_after(self, start: int, close: float) -> list[Bar]:
        """The bars after an open time that were filled with another close than this: their corrections."""
        corrections: list[Bar] = []
        while (following := self._builders.get(self.length.close_of(start))) is not None and following.closed:
            if following.content is not Content.FILLED or following.close == close:
                return corrections
            start = self.length.close_of(start)
            following.fill(close)
            following.next_revision()
            corrections.append(self._bar(start, following))
        if self.length.close_of(start) == self._next:
            self._last_close = close
        return corrections

    def _bar(self, start: int, builder: BarBuilder) -> Bar:
        return Bar(
            self._exchange,
            self._symbol,
            self.interval,
            start,
            builder.open,
            builder.high,
            builder.low,
            builder.close,
            builder.volume,
            builder.closed,
            builder.revision or 0,
        )
