"""Resampling of bars to coarser intervals, with the same result for stored columns and for a stream.

A resampled bar covers the opens of an interval, as ``BarLength`` aligns it (UTC). It is known at its close and never
earlier: the step of that event time contains it, after the finer bars. A bar that opens before the first input bar, or
closes after the last, is omitted because its input is incomplete.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapedeck_backtest.bars.arrays import BarArrays, TimeStep, resampled_name
from tapedeck_backtest.errors import RunFailed
from tapedeck_common.bar_times import closes_of, opens_of
from tapedeck_common.market import Bar
from tapedeck_common.store.bars import Ints
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength


def check_intervals(interval: str, coarser: Sequence[str]) -> None:
    """Raises RunFailed (BadIntervals) unless each coarser interval is a multiple of ``interval``."""
    for each in coarser:
        if not BAR_LENGTHS[each].consists_of(BAR_LENGTHS[interval]):
            raise RunFailed("BadIntervals", f"data.intervals: got {each}, expected a multiple of the bars' {interval}")


def feed_names(symbols: Sequence[str], coarser: Sequence[str]) -> list[str]:
    """Names of all feeds in the strategy's order: the symbols, then the symbols of each coarser interval."""
    return [*symbols, *(resampled_name(symbol, each) for each in coarser for symbol in symbols)]


def check_resampled(series: Mapping[str, BarArrays], interval: str, coarser: Sequence[str]) -> None:
    """Raises RunFailed (NoBars) if a symbol has too few bars for one complete bar of a coarser interval."""
    span = _span(series, interval)
    for each in coarser:
        wide = BAR_LENGTHS[each]
        for symbol, columns in series.items():
            if not _is_complete(_opens(columns, wide), wide, span).any():
                raise RunFailed("NoBars", f"data.intervals: the bars of {symbol} make no complete bar of {each}")


def resample(
    series: Mapping[str, BarArrays], interval: str, coarser: Sequence[str], *, require_bars: bool = True
) -> dict[str, BarArrays]:
    """The series and those resampled from them, in the order of ``feed_names``.

    Raises RunFailed (NoBars) for a symbol without a complete bar; without ``require_bars`` that feed is empty.
    """
    if require_bars:
        check_resampled(series, interval, coarser)
    span = _span(series, interval)
    feeds = dict(series)
    for each in coarser:
        for symbol, columns in series.items():
            name = resampled_name(symbol, each)
            feeds[name] = _resampled(columns, BAR_LENGTHS[each], span)
    return feeds


def _span(series: Mapping[str, BarArrays], interval: str) -> tuple[int, int]:
    """Open of the first bar of all symbols, close of the last."""
    events = [columns.event for columns in series.values() if len(columns.event)]
    first = min((int(event[0]) for event in events), default=0)
    return BAR_LENGTHS[interval].open_of(first - 1), max((int(event[-1]) for event in events), default=0)


def _opens(fine: BarArrays, wide: BarLength) -> Ints:
    """For each bar, the open of the coarse bar that contains it."""
    return opens_of(wide, fine.event - 1)


def _is_complete(opens: Ints, wide: BarLength, span: tuple[int, int]) -> NDArray[np.bool_]:
    """Which coarse bars lie within the span."""
    return (opens >= span[0]) & (closes_of(wide, opens) <= span[1])


def _resampled(fine: BarArrays, wide: BarLength, span: tuple[int, int]) -> BarArrays:
    if not len(fine.event):
        return fine
    opens, starts = np.unique(_opens(fine, wide), return_index=True)
    stops = np.append(starts[1:], len(fine.event))
    complete = _is_complete(opens, wide, span)
    volume = [math.fsum(fine.volume[a:b]) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
    return BarArrays(
        event=closes_of(wide, opens[complete]),
        open=fine.open[starts][complete],
        high=np.maximum.reduceat(fine.high, starts)[complete],
        low=np.minimum.reduceat(fine.low, starts)[complete],
        close=fine.close[stops - 1][complete],
        volume=np.array(volume)[complete],
    )


@dataclass
class StreamResampler:
    """Adds resampled bars to the steps of a stream, with the index that ``feed_names`` gives them."""

    symbols: Sequence[str]
    interval: str
    coarser: Sequence[str]
    _open: dict[int, tuple[int, list[Bar]]] = field(default_factory=dict)  # feed index → close, bars so far
    _first_open: int | None = None

    def steps(self, fine: Iterator[TimeStep]) -> Iterator[TimeStep]:
        """The steps, and separate steps for resampled bars that close at a time without a finer bar."""
        for event, bars in fine:
            if self._first_open is None:
                self._first_open = BAR_LENGTHS[self.interval].open_of(event - 1)
            while self._open and (close := min(close for close, _ in self._open.values())) < event:
                yield from self._closing_step(close)
            for index, bar in bars:
                self._add(index, bar)
            resampled = [each for _, closing in self._closing_step(event) for each in closing]
            yield event, [*bars, *resampled]

    def _add(self, symbol: int, bar: Bar) -> None:
        for number, interval in enumerate(self.coarser):
            wide, index = BAR_LENGTHS[interval], (number + 1) * len(self.symbols) + symbol
            if self._first_open is not None and wide.open_of(bar.ts) >= self._first_open:
                self._open.setdefault(index, (wide.close_of(bar.ts), []))[1].append(bar)

    def _closing_step(self, close: int) -> Iterator[TimeStep]:
        closing = sorted(index for index, (closes, _) in self._open.items() if closes == close)
        if closing:
            yield close, [(index, self._closed_bar(index)) for index in closing]

    def _closed_bar(self, index: int) -> Bar:
        close, bars = self._open.pop(index)
        interval = self.coarser[index // len(self.symbols) - 1]
        return Bar(
            bars[0].exchange,
            bars[0].symbol,
            interval,
            BAR_LENGTHS[interval].open_of(close - 1),
            bars[0].open,
            max(bar.high for bar in bars),
            min(bar.low for bar in bars),
            bars[-1].close,
            math.fsum(bar.volume for bar in bars),
        )
