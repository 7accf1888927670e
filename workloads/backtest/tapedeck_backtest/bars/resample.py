"""Resampling of bars to coarser intervals, with the same result for stored columns and for a stream.

A resampled bar is known at its close and never earlier: the step of that event time contains it, after the finer bars.
In a market that never closes, a bar that opens before the first input bar, or closes after the last, is omitted because
its input is incomplete. In a market with sessions it is complete once it is over: what lacks at its begin or its end
was not traded, unless the run itself begins or ends within it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapedeck_backtest.bars.arrays import BarArrays, TimeStep, interval_of, is_resampled, resampled_name
from tapedeck_backtest.bars.coarse import NO_LIMITS, OUTSIDE, CoarseBars, Limits
from tapedeck_backtest.bars.datetimes import Sessions, session_of
from tapedeck_backtest.errors import RunFailed
from tapedeck_common.market import Bar
from tapedeck_common.store.bars import Ints
from tapedeck_crds.intervals import BAR_LENGTHS

NO_SESSIONS: Sessions = {}


def check_intervals(interval: str, coarser: Sequence[str]) -> None:
    """Raises RunFailed (BadIntervals) unless each coarser interval is a multiple of ``interval``."""
    for each in coarser:
        if not BAR_LENGTHS[each].consists_of(BAR_LENGTHS[interval]):
            raise RunFailed("BadIntervals", f"data.intervals: got {each}, expected a multiple of the bars' {interval}")


def feed_names(symbols: Sequence[str], coarser: Sequence[str]) -> list[str]:
    """Names of all feeds in the strategy's order: the symbols, then the symbols of each coarser interval."""
    return [*symbols, *(resampled_name(symbol, each) for each in coarser for symbol in symbols)]


def check_resampled(
    series: Mapping[str, BarArrays],
    interval: str,
    coarser: Sequence[str],
    sessions: Sessions = NO_SESSIONS,
    limits: Limits = NO_LIMITS,
) -> None:
    """Raises RunFailed (NoBars) if a symbol has too few bars for one complete bar of a coarser interval."""
    span = _span(series, interval)
    for each in coarser:
        for symbol, columns in series.items():
            bars = CoarseBars(session_of(sessions, symbol), interval, each)
            if not _is_complete(bars, *bars.spans(columns.event), span, limits).any():
                raise RunFailed("NoBars", f"data.intervals: the bars of {symbol} make no complete bar of {each}")


def resample(
    series: Mapping[str, BarArrays],
    interval: str,
    coarser: Sequence[str],
    sessions: Sessions = NO_SESSIONS,
    limits: Limits = NO_LIMITS,
    *,
    require_bars: bool = True,
) -> dict[str, BarArrays]:
    """The series and those resampled from them, in the order of ``feed_names``.

    Raises RunFailed (NoBars) for a symbol without a complete bar; without ``require_bars`` that feed is empty.
    """
    if require_bars:
        check_resampled(series, interval, coarser, sessions, limits)
    span = _span(series, interval)
    feeds = dict(series)
    for each in coarser:
        for symbol, columns in series.items():
            bars = CoarseBars(session_of(sessions, symbol), interval, each)
            feeds[resampled_name(symbol, each)] = _resampled(columns, bars, span, limits)
    return feeds


def outside_note(series: Mapping[str, BarArrays], interval: str, sessions: Sessions) -> str | None:
    """How many bars are outside the sessions of their symbols, and what that means; None where none is."""
    count = 0
    for symbol, columns in series.items():
        bars = CoarseBars(session_of(sessions, symbol), interval, "1d")
        if bars.by_sessions and len(columns.event):
            count += int(np.count_nonzero(bars.spans(columns.event)[1] == OUTSIDE))
    if not count:
        return None
    total = sum(len(columns.event) for columns in series.values())
    return (
        f"data.session: {count} of {total} bars are outside the session; the strategy receives them, data.intervals "
        "leave them out"
    )


def first_open(series: Mapping[str, BarArrays], interval: str) -> int:
    """Open of the first bar of all symbols, ms UTC."""
    first = min(int(columns.event[0]) for columns in series.values() if len(columns.event))
    return BAR_LENGTHS[interval].open_of(first - 1)


def _span(series: Mapping[str, BarArrays], interval: str) -> tuple[int, int]:
    """Open of the first bar of all symbols, close of the last."""
    events = [columns.event for columns in series.values() if len(columns.event)]
    first = min((int(event[0]) for event in events), default=0)
    return BAR_LENGTHS[interval].open_of(first - 1), max((int(event[-1]) for event in events), default=0)


def _is_complete(
    bars: CoarseBars, opens: Ints, closes: Ints, span: tuple[int, int], limits: Limits
) -> NDArray[np.bool_]:
    """Which coarse bars are complete: within the limits, and within the time of which the bars tell."""
    first, last = bars.known(*span)
    start, end = limits.within(first, last)
    complete: NDArray[np.bool_] = (closes != OUTSIDE) & (opens >= start) & (closes <= end)
    return complete


def _resampled(fine: BarArrays, bars: CoarseBars, span: tuple[int, int], limits: Limits) -> BarArrays:
    opens, closes = bars.spans(fine.event)
    inside = closes != OUTSIDE
    if not inside.all():
        fine, opens, closes = fine.rows(inside), opens[inside], closes[inside]
    if not len(fine.event):
        return fine
    closes, starts = np.unique(closes, return_index=True)
    stops = np.append(starts[1:], len(fine.event))
    complete = _is_complete(bars, opens[starts], closes, span, limits)
    volume = [math.fsum(fine.volume[a:b]) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
    return BarArrays(
        event=closes[complete],
        open=fine.open[starts][complete],
        high=np.maximum.reduceat(fine.high, starts)[complete],
        low=np.minimum.reduceat(fine.low, starts)[complete],
        close=fine.close[stops - 1][complete],
        volume=np.array(volume)[complete],
    )


@dataclass
class _OpenBar:
    """A coarse bar whose close has not come yet, with its finer bars so far; ``complete`` if it began with them."""

    opens: int
    closes: int
    complete: bool
    bars: list[Bar] = field(default_factory=list)


@dataclass
class StreamResampler:
    """Adds resampled bars to the steps of a stream, with the index that ``feed_names`` gives them.

    ``limits`` returns those of the stream once it has begun. No session ends later than the clock.
    """

    symbols: Sequence[str]
    interval: str
    coarser: Sequence[str]
    sessions: Sessions = field(default_factory=dict)
    limits: Callable[[], Limits] = Limits
    _open: dict[int, _OpenBar] = field(default_factory=dict)  # by feed index
    _first_open: int | None = None

    def __post_init__(self) -> None:
        feeds = feed_names(self.symbols, self.coarser)
        self._coarse = {
            index: CoarseBars(session_of(self.sessions, name), self.interval, interval_of(name))
            for index, name in enumerate(feeds)
            if is_resampled(name)
        }

    def steps(self, fine: Iterator[TimeStep]) -> Iterator[TimeStep]:
        """The steps, and separate steps for resampled bars that close at a time without a finer bar."""
        event = 0
        for event, bars in fine:
            if self._first_open is None:
                self._first_open = BAR_LENGTHS[self.interval].open_of(event - 1)
            yield from self._closing_steps(event - 1)
            for index, bar in bars:
                self._add(index, bar, event)
            resampled = [each for _, closing in self._closing_steps(event) for each in closing]
            yield event, [*bars, *resampled]
        self._drop_incomplete(event)
        yield from self._closing_steps(time.time_ns() // 1_000_000)

    def _add(self, symbol: int, bar: Bar, event: int) -> None:
        for number in range(len(self.coarser)):
            index = (number + 1) * len(self.symbols) + symbol
            if index not in self._open:
                opens, closes = self._coarse[index].span(event)
                if closes == OUTSIDE:
                    continue
                self._open[index] = _OpenBar(opens, closes, self._is_complete(index, opens))
            self._open[index].bars.append(bar)

    def _is_complete(self, index: int, opens: int) -> bool:
        """Whether the stream has the begin of a coarse bar."""
        first = opens if self._first_open is None else self._first_open
        first, last = self._coarse[index].known(first, first + 1)
        return opens >= self.limits().within(first, last)[0]

    def _drop_incomplete(self, last: int) -> None:
        """Drop the coarse bars of whose rest the stream does not tell, which ends with event time ``last``."""
        limits = self.limits()
        for index in list(self._open):
            end = limits.within(*self._coarse[index].known(last - 1, last))[1]
            if self._open[index].closes > end:
                del self._open[index]

    def _closing_steps(self, last: int) -> Iterator[TimeStep]:
        """A step for each time up to ``last`` at which coarse bars close."""
        while self._open and (close := min(bar.closes for bar in self._open.values())) <= last:
            closing = sorted(index for index, bar in self._open.items() if bar.closes == close)
            closed = [
                (index, self._closed_bar(index, bar)) for index in closing if (bar := self._open.pop(index)).complete
            ]
            if closed:
                yield close, closed

    def _closed_bar(self, index: int, coarse: _OpenBar) -> Bar:
        bars, interval = coarse.bars, self.coarser[index // len(self.symbols) - 1]
        return Bar(
            bars[0].exchange,
            bars[0].symbol,
            interval,
            coarse.opens,
            bars[0].open,
            max(bar.high for bar in bars),
            min(bar.low for bar in bars),
            bars[-1].close,
            math.fsum(bar.volume for bar in bars),
        )
