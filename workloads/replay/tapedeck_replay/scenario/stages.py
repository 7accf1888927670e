"""Stages of a scenario: each is an ordered stream of bars computed from another one, in the memory of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tapedeck_common.store.bars import BarBlock
from tapedeck_crds.base import time_ms
from tapedeck_crds.scenario import ScenarioChange
from tapedeck_replay.scenario.bar_math import (
    Mask,
    check_positive,
    choose_rows,
    scale_along_path,
    scale_log_prices,
    scale_prices,
    scale_shadows,
    select_rows,
)
from tapedeck_replay.scenario.random_numbers import name_hashes, uniforms
from tapedeck_replay.source.dataset import LAST_SYMBOL, BarSource, Dataset, StartAfter


class BarStage(Protocol):
    """Bars with an open time in [since, until), milliseconds UTC, in order. They do not depend on earlier reads."""

    def read(self, since: int, until: int) -> Iterator[BarBlock]: ...


@dataclass(frozen=True)
class ChangeWindow:
    """The bars that a change applies to: open times in [start, end), and a mask over the dataset's symbols."""

    start: int
    end: int
    series: Mask

    def mask(self, block: BarBlock) -> Mask:
        """Which rows of a block are in the window, shape (n,)."""
        return np.asarray((block.ts >= self.start) & (block.ts < self.end) & self.series[block.series])


def window_of(change: ScenarioChange, dataset: Dataset) -> ChangeWindow:
    """The window of a change; by default the dataset's range and all its symbols."""
    symbols = None if change.symbols is None else set(change.symbols)
    return ChangeWindow(
        dataset.start if change.from_ is None else time_ms(change.from_),
        dataset.end if change.to is None else time_ms(change.to),
        np.array([symbols is None or symbol in symbols for symbol in dataset.symbols]),
    )


class SourceStage:
    """The unchanged bars of a source."""

    def __init__(self, source: BarSource, dataset: Dataset) -> None:
        self._source, self._dataset = source, dataset

    def read(self, since: int, until: int) -> Iterator[BarBlock]:
        dataset = self._dataset
        start, end = max(since, dataset.start), min(until, dataset.end)
        if start >= end:
            return
        share = (end - start) / (dataset.end - dataset.start)  # the store plans its reads by the number of rows
        rows = {symbol: round(rows * share) for symbol, rows in dataset.rows_by_symbol.items()}
        part = replace(dataset, start=start, end=end, rows_by_symbol=rows)
        for block in self._source.blocks(part, StartAfter(start - 1, LAST_SYMBOL)):
            if block.ts[-1] >= end:
                block = select_rows(block, block.ts < end)
                if len(block):
                    yield block
                return
            yield block


class MapStage:
    """Every block changed by a function of that block."""

    def __init__(self, upstream: BarStage, change: Callable[[BarBlock], BarBlock]) -> None:
        self._upstream, self._change = upstream, change

    def read(self, since: int, until: int) -> Iterator[BarBlock]:
        for block in self._upstream.read(since, until):
            changed = self._change(block)
            if len(changed):
                yield changed


def price_path(
    window: ChangeWindow, interval_ms: int, times: list[float], logs: list[float]
) -> Callable[[BarBlock], BarBlock]:
    """Scales the prices of the window's symbols along a path (see scale_along_path)."""
    return lambda block: choose_rows(
        window.series[block.series], scale_along_path(block, interval_ms, times, logs), block
    )


def within(window: ChangeWindow, change: Callable[[BarBlock], BarBlock]) -> Callable[[BarBlock], BarBlock]:
    """Applies a change to the bars in the window."""
    return lambda block: choose_rows(window.mask(block), change(block), block)


def spread_shadows(window: ChangeWindow, factor: float) -> Callable[[BarBlock], BarBlock]:
    """Scales the shadows of the bars in the window."""

    def spread(block: BarBlock) -> BarBlock:
        inside = window.mask(block)
        check_positive(block, inside, "spread")
        return choose_rows(inside, scale_shadows(block, factor), block)

    return spread


def drop_bars(
    window: ChangeWindow, dataset: Dataset, percent: float, seed: int, use: int
) -> Callable[[BarBlock], BarBlock]:
    """Removes each bar in the window with the given probability, in percent."""
    names = name_hashes(dataset.symbols)

    def without(block: BarBlock) -> BarBlock:
        dropped = uniforms(seed, 2 * use, names[block.series], block.ts) < percent / 100
        return select_rows(block, ~(window.mask(block) & dropped))

    return without


class VolatilityStage:
    """Log returns × factor in the window, relative to its first open; later prices keep the new level.

    The state of a symbol is two numbers: that open, and the ratio of the new to the old last close in the window. To
    compute them, reading starts no later than the window does.
    """

    def __init__(self, upstream: BarStage, window: ChangeWindow, factor: float) -> None:
        self._upstream, self._window, self._factor = upstream, window, factor

    def read(self, since: int, until: int) -> Iterator[BarBlock]:
        window = self._window
        base = np.full(len(window.series), np.nan)
        level = np.ones(len(window.series))
        for block in self._upstream.read(min(since, window.start), until):
            inside = window.mask(block)
            after = (block.ts >= window.end) & window.series[block.series]
            if inside.any():
                check_positive(block, inside | after, "volatility")
                series, first = np.unique(block.series[inside], return_index=True)
                opens = block.open[inside][first]
                base[series] = np.where(np.isnan(base[series]), opens, base[series])
                scaled = scale_log_prices(block, self._factor, np.where(inside, base[block.series], 1.0))
                level[block.series[inside]] = scaled.close[inside] / block.close[inside]  # the last one remains
                block = choose_rows(inside, scaled, block)
            if after.any():
                block = choose_rows(after, scale_prices(block, level[block.series]), block)
            block = select_rows(block, block.ts >= since)
            if len(block):
                yield block
