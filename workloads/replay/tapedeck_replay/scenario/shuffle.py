"""Segments of a tape in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tapedeck_common.store.bars import Block, Ints
from tapedeck_replay.scenario.shape import levelled, only
from tapedeck_replay.scenario.stage import Stage


def segment_order(segments: int, seed: int, use: int, replacement: bool) -> Ints:
    """Which segment comes at each place: a permutation, or draws with replacement.

    The latter is the block bootstrap with blocks that do not overlap (Carlstein 1986, The use of subseries
    values for estimating the variance of a general statistic from a stationary sequence).
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, use]))
    return generator.integers(0, segments, segments) if replacement else generator.permutation(segments)


class Shuffle:
    """Whole segments of [start, end) in the order given, what is left over at the end where it was.

    All symbols keep together. Prices are joined: each segment is scaled so that its first open is the last
    close before it, f_j = C'_(j−1) / O_j; the first keeps its prices. Returns within segments are those of the
    source. To know the levels, reading begins at the tape's begin.
    """

    def __init__(self, before: Stage, start: int, end: int, length: int, order: Ints) -> None:
        self._before, self._start, self._end = before, start, end
        self._length, self._order = length, order

    def read(self, since: int, until: int) -> Iterator[Block]:
        last: dict[int, float] = {}
        whole = [(int(place) * self._length, index * self._length) for index, place in enumerate(self._order)]
        rest = len(whole) * self._length
        for taken, put in [*whole, (rest, rest)]:
            begin = self._start + taken
            end = min(begin + self._length, self._end)
            if self._start + put >= until:
                return
            yield from self._segment(begin, end, put - taken, last, since, until)

    def _segment(
        self, begin: int, end: int, shift: int, last: dict[int, float], since: int, until: int
    ) -> Iterator[Block]:
        factors: dict[int, float] = {}
        for block in self._before.read(begin, end):
            for series, at in zip(*np.unique(block.series, return_index=True), strict=True):
                if int(series) not in factors:
                    first = float(block.open[at])
                    factors[int(series)] = last.get(int(series), first) / first
            scale = np.zeros(max(factors) + 1)
            scale[list(factors)] = list(factors.values())
            made = replace(levelled(block, scale[block.series]), ts=block.ts + shift)
            last.update(zip(made.series.tolist(), made.close.tolist(), strict=True))
            made = only(made, (made.ts >= since) & (made.ts < until))
            if len(made):
                yield made
