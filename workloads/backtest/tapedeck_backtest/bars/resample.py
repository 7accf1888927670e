"""Coarser bars built from the finer ones, the same for a range and for a stream.

A coarse bar covers the opens of an interval aligned to 1970-01-01 UTC and is known at its end, never before: it is
given in the step of that time, after the finer bars. One that began before the first of all bars, or has not
ended with the last, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapedeck_backtest.engine.cerebro import Step
from tapedeck_backtest.engine.feeds import Columns, coarse_name
from tapedeck_backtest.errors import RunFailed
from tapedeck_common.market import Bar
from tapedeck_common.store.bars import Ints
from tapedeck_crds.base import INTERVAL_MS


def check_intervals(interval: str, coarser: Sequence[str]) -> None:
    """Raises RunFailed (BadIntervals) for what bars of ``interval`` can't be put together to."""
    for each in coarser:
        if INTERVAL_MS[each] <= INTERVAL_MS[interval] or INTERVAL_MS[each] % INTERVAL_MS[interval]:
            raise RunFailed("BadIntervals", f"data.intervals: got {each}, expected a multiple of the bars' {interval}")


def names(symbols: Sequence[str], coarser: Sequence[str]) -> list[str]:
    """Names of all feeds in the strategy's order: the symbols, then the symbols of each coarser interval."""
    return [*symbols, *(coarse_name(symbol, each) for each in coarser for symbol in symbols)]


def check_coarser(series: Mapping[str, Columns], interval: str, coarser: Sequence[str]) -> None:
    """Raises RunFailed (NoBars) where a symbol's bars are too few for a whole coarser one."""
    span = _span(series, interval)
    for each in coarser:
        wide = INTERVAL_MS[each]
        for symbol, columns in series.items():
            if not _whole(_ends(columns, INTERVAL_MS[interval], wide), wide, span).any():
                raise RunFailed("NoBars", f"data.intervals: the bars of {symbol} make no whole bar of {each}")


def with_coarser(series: Mapping[str, Columns], interval: str, coarser: Sequence[str]) -> dict[str, Columns]:
    """The series and what is built from them, in the order of ``names``. Raises RunFailed (NoBars)."""
    check_coarser(series, interval, coarser)
    return built_from(series, interval, coarser)


def built_from(series: Mapping[str, Columns], interval: str, coarser: Sequence[str]) -> dict[str, Columns]:
    """The same, where what has too few bars for a whole one has none."""
    span = _span(series, interval)
    built = dict(series)
    for each in coarser:
        for symbol, columns in series.items():
            built[coarse_name(symbol, each)] = _built(columns, INTERVAL_MS[interval], INTERVAL_MS[each], span)
    return built


def _span(series: Mapping[str, Columns], interval: str) -> tuple[int, int]:
    """Open of the first of all bars, end of the last."""
    there = [columns.event for columns in series.values() if len(columns.event)]
    first = min((int(event[0]) for event in there), default=0) - INTERVAL_MS[interval]
    return first, max((int(event[-1]) for event in there), default=0)


def _ends(fine: Columns, width: int, wide: int) -> Ints:
    """The end of the coarse bar that each of the bars belongs to."""
    ends: Ints = (fine.event - width) // wide * wide + wide
    return ends


def _whole(ends: Ints, wide: int, span: tuple[int, int]) -> NDArray[np.bool_]:
    """Which coarse bars lie within the span."""
    return (ends - wide >= span[0]) & (ends <= span[1])


def _built(fine: Columns, width: int, wide: int, span: tuple[int, int]) -> Columns:
    if not len(fine.event):
        return fine
    ends, starts = np.unique(_ends(fine, width, wide), return_index=True)
    stops = np.append(starts[1:], len(fine.event))
    whole = _whole(ends, wide, span)
    volume = [math.fsum(fine.volume[a:b]) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
    return Columns(
        event=ends[whole],
        open=fine.open[starts][whole],
        high=np.maximum.reduceat(fine.high, starts)[whole],
        low=np.minimum.reduceat(fine.low, starts)[whole],
        close=fine.close[stops - 1][whole],
        volume=np.array(volume)[whole],
    )


@dataclass
class Resampler:
    """Adds coarser bars to steps of finer ones, with the index that ``names`` gives them."""

    symbols: Sequence[str]
    interval: str
    coarser: Sequence[str]
    _open: dict[int, tuple[int, list[Bar]]] = field(default_factory=dict)  # index → end, bars so far
    _first: int | None = None

    def steps(self, fine: Iterator[Step]) -> Iterator[Step]:
        """The steps, and steps of their own for coarse bars that end where no finer one does."""
        for event, bars in fine:
            if self._first is None:
                self._first = event - INTERVAL_MS[self.interval]
            while self._open and (end := min(end for end, _ in self._open.values())) < event:
                yield from self._step(end)
            for index, bar in bars:
                self._add(index, bar)
            built = [each for _, closing in self._step(event) for each in closing]
            yield event, [*bars, *built]

    def _add(self, symbol: int, bar: Bar) -> None:
        for number, interval in enumerate(self.coarser):
            wide, index = INTERVAL_MS[interval], (number + 1) * len(self.symbols) + symbol
            start = bar.ts // wide * wide
            if self._first is not None and start >= self._first:
                self._open.setdefault(index, (start + wide, []))[1].append(bar)

    def _step(self, end: int) -> Iterator[Step]:
        closing = sorted(index for index, (ends, _) in self._open.items() if ends == end)
        if closing:
            yield end, [(index, self._close(index)) for index in closing]

    def _close(self, index: int) -> Bar:
        end, bars = self._open.pop(index)
        interval = self.coarser[index // len(self.symbols) - 1]
        return Bar(
            bars[0].exchange,
            bars[0].symbol,
            interval,
            end - INTERVAL_MS[interval],
            bars[0].open,
            max(bar.high for bar in bars),
            min(bar.low for bar in bars),
            bars[-1].close,
            math.fsum(bar.volume for bar in bars),
        )
