"""Stages: a stream of bars in order, made of another. Memory is that of a block, whatever the range."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tapedeck_common.store.bars import Block
from tapedeck_crds.base import time_ms
from tapedeck_crds.scenario import ScenarioChange
from tapedeck_replay.scenario.chance import uniforms, words_of
from tapedeck_replay.scenario.shape import Mask, bent, chosen, levelled, only, stretched
from tapedeck_replay.tape import LAST_SYMBOL, After, BarSource, Tape


class Stage(Protocol):
    """Bars with an open in [since, until), in order: the same whatever was read before."""

    def read(self, since: int, until: int) -> Iterator[Block]: ...


@dataclass(frozen=True)
class Window:
    """Which bars a change is about: opens in [start, end), series by their place in the tape's symbols."""

    start: int
    end: int
    series: Mask

    def holds(self, block: Block) -> Mask:
        return np.asarray((block.ts >= self.start) & (block.ts < self.end) & self.series[block.series])


def window_of(change: ScenarioChange, tape: Tape) -> Window:
    """Open ends are the tape's."""
    wanted = None if change.symbols is None else set(change.symbols)
    return Window(
        tape.start if change.from_ is None else time_ms(change.from_),
        tape.end if change.to is None else time_ms(change.to),
        np.array([wanted is None or symbol in wanted for symbol in tape.symbols]),
    )


class FromSource:
    """The bars as they are."""

    def __init__(self, source: BarSource, tape: Tape) -> None:
        self._source, self._tape = source, tape

    def read(self, since: int, until: int) -> Iterator[Block]:
        tape = self._tape
        start, end = max(since, tape.start), min(until, tape.end)
        if start >= end:
            return
        share = (end - start) / (tape.end - tape.start)  # tells the store how many rows to expect
        part = replace(
            tape, start=start, end=end, rows_of={name: round(rows * share) for name, rows in tape.rows_of.items()}
        )
        for block in self._source.blocks(part, After(start - 1, LAST_SYMBOL)):
            if block.ts[-1] >= end:
                block = only(block, block.ts < end)
                if len(block):
                    yield block
                return
            yield block


class Each:
    """Every block by itself."""

    def __init__(self, before: Stage, change: Callable[[Block], Block]) -> None:
        self._before, self._change = before, change

    def read(self, since: int, until: int) -> Iterator[Block]:
        for block in self._before.read(since, until):
            changed = self._change(block)
            if len(changed):
                yield changed


def bend(window: Window, step: int, times: list[float], logs: list[float]) -> Callable[[Block], Block]:
    """Prices of the window's symbols along a path."""
    return lambda block: chosen(window.series[block.series], bent(block, step, times, logs), block)


def in_window(window: Window, change: Callable[[Block], Block]) -> Callable[[Block], Block]:
    """The window's bars changed."""
    return lambda block: chosen(window.holds(block), change(block), block)


def lose(window: Window, tape: Tape, percent: float, seed: int, use: int) -> Callable[[Block], Block]:
    """Bars of the window taken away, each with the probability given."""
    words = words_of(tape.symbols)

    def without(block: Block) -> Block:
        lost = uniforms(seed, 2 * use, words[block.series], block.ts) < percent / 100
        return only(block, ~(window.holds(block) & lost))

    return without


class Volatility:
    """Log returns × factor in the window, around the first open in it; behind it prices keep their new level.

    Two numbers a symbol are kept: that open, and what the last close in the window became. To know them,
    reading begins no later than the window does.
    """

    def __init__(self, before: Stage, window: Window, factor: float) -> None:
        self._before, self._window, self._factor = before, window, factor

    def read(self, since: int, until: int) -> Iterator[Block]:
        window = self._window
        base = np.full(len(window.series), np.nan)
        level = np.ones(len(window.series))
        for block in self._before.read(min(since, window.start) if since > window.start else since, until):
            inside = window.holds(block)
            behind = (block.ts >= window.end) & window.series[block.series]
            if inside.any():
                series, first = np.unique(block.series[inside], return_index=True)
                opens = block.open[inside][first]
                base[series] = np.where(np.isnan(base[series]), opens, base[series])
                stretch = stretched(block, self._factor, np.where(inside, base[block.series], 1.0))
                level[block.series[inside]] = stretch.close[inside] / block.close[inside]  # the last one stays
                block = chosen(inside, stretch, block)
            if behind.any():
                block = chosen(behind, levelled(block, level[block.series]), block)
            block = only(block, block.ts >= since)
            if len(block):
                yield block
