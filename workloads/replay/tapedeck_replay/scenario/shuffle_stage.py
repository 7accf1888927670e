"""A stage that plays segments of the dataset in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tapedeck_common.store.bars import BarBlock, Ints
from tapedeck_replay.scenario.bar_math import check_positive, scale_prices, select_rows
from tapedeck_replay.scenario.stages import BarStage


def segment_order(segments: int, seed: int, use: int, replacement: bool) -> Ints:
    """The segment at each place: a permutation, or draws with replacement; shape (segments,).

    The latter is the block bootstrap with non-overlapping blocks (Carlstein 1986, The use of subseries values for
    estimating the variance of a general statistic from a stationary sequence).
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, use]))
    return generator.integers(0, segments, segments) if replacement else generator.permutation(segments)


class ShuffleStage:
    """Segments of ``length`` ms of [start, end) in the given order; an incomplete last segment keeps its place.

    All symbols move together. Prices are joined: each segment is scaled so that its first open is the last close
    before it, f_j = C'_(j−1) / O_j; the first segment keeps its prices. Returns within segments are those of the
    source. Every read starts at the dataset's start, because the price levels depend on all earlier segments.
    """

    def __init__(self, upstream: BarStage, start: int, end: int, length: int, order: Ints) -> None:
        self._upstream, self._start, self._end = upstream, start, end
        self._length, self._order = length, order

    def read(self, since: int, until: int) -> Iterator[BarBlock]:
        last_close: dict[int, float] = {}  # by series
        moves = [(int(segment) * self._length, index * self._length) for index, segment in enumerate(self._order)]
        rest = len(moves) * self._length
        for source_offset, offset in [*moves, (rest, rest)]:
            begin = self._start + source_offset
            end = min(begin + self._length, self._end)
            if self._start + offset >= until:
                return
            yield from self._segment(begin, end, offset - source_offset, last_close, since, until)

    def _segment(
        self, begin: int, end: int, shift: int, last_close: dict[int, float], since: int, until: int
    ) -> Iterator[BarBlock]:
        factors: dict[int, float] = {}
        for block in self._upstream.read(begin, end):
            check_positive(block, np.ones(len(block), np.bool_), "shuffle")
            for series, at in zip(*np.unique(block.series, return_index=True), strict=True):
                if int(series) not in factors:
                    first = float(block.open[at])
                    factors[int(series)] = last_close.get(int(series), first) / first
            scale = np.zeros(max(factors) + 1)
            scale[list(factors)] = list(factors.values())
            moved = replace(scale_prices(block, scale[block.series]), ts=block.ts + shift)
            last_close.update(zip(moved.series.tolist(), moved.close.tolist(), strict=True))
            moved = select_rows(moved, (moved.ts >= since) & (moved.ts < until))
            if len(moved):
                yield moved
