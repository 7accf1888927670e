"""Which bars are whose, which are missing, and in which order they are asked for. Pure.

A range is a pair of opens [start, end), milliseconds UTC, both multiples of the bar's length.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from tapedeck_common.topics import shard_of
from tapedeck_crds.base import INTERVAL_MS

Range: TypeAlias = tuple[int, int]


class Share(NamedTuple):
    """One shard's part of a series."""

    symbol: str
    interval: str
    start: int
    end: int

    @property
    def step(self) -> int:
        """Length of a bar, milliseconds."""
        return INTERVAL_MS[self.interval]

    @property
    def opens(self) -> int:
        """How many bars it can have."""
        return (self.end - self.start) // self.step


class Page(NamedTuple):
    """One question to the exchange: opens [start, end) of the ``number``-th missing range of a share."""

    share: Share
    number: int
    start: int
    end: int


def shares_of(
    symbols: Iterable[str], intervals: Iterable[str], wanted: Range, closed: int, shard: int, shards: int
) -> list[Share]:
    """The shard's parts: one slice in time of each series, and none of a bar that is not over at ``closed``.

    The slices follow from range and number of shards alone, so that they stay where they are when the exchange lists
    new symbols. Which of them a shard has turns with the symbol: the newest of all are not one shard's.
    """
    found = []
    for symbol in symbols:
        for interval in intervals:
            step = INTERVAL_MS[interval]
            first, last = -(-wanted[0] // step), -(-wanted[1] // step)
            turn = (shard + shard_of(symbol, shards)) % shards
            count = max(last - first, 0)
            start = (first + count * turn // shards) * step
            end = min((first + count * (turn + 1) // shards) * step, closed // step * step)
            if start < end:
                found.append(Share(symbol, interval, start, end))
    return found


def without(whole: Range, parts: Iterable[Range]) -> list[Range]:
    """What of a range lies in none of the parts, the earliest first."""
    left, at = [], whole[0]
    for start, end in sorted(parts):
        if at < min(start, whole[1]):
            left.append((at, min(start, whole[1])))
        at = max(at, end)
    if at < whole[1]:
        left.append((at, whole[1]))
    return left


def pages_of(missing: Iterable[tuple[Share, list[Range]]], size: int) -> Iterator[Page]:
    """What is to be asked, the newest first over all series; each page has at most ``size`` opens."""
    return heapq.merge(*(_pages(share, ranges, size) for share, ranges in missing), key=lambda page: -page.end)


def _pages(share: Share, ranges: list[Range], size: int) -> Iterator[Page]:
    width = size * share.step
    for number, (start, stop) in reversed(list(enumerate(ranges))):
        for end in range(stop, start, -width):
            yield Page(share, number, max(start, end - width), end)


def holes_in(page: Page, opens: Collection[int]) -> list[Range]:
    """The runs of opens of a page that did not come, the latest first."""
    step = page.share.step
    present = ((ts, ts + step) for ts in opens)
    return without((page.start, page.end), present)[::-1]


class Holes:
    """Holes of one missing range, whole though they reach over pages: pages come from the newest to the oldest."""

    def __init__(self, start: int, end: int) -> None:
        self._start = start
        self._open: Range | None = None
        self.lowest = end

    def add(self, page: Page, holes: Iterable[Range]) -> Iterator[Range]:
        """Take a page's holes, the latest first → those that are known whole now."""
        waiting, self._open = self._open, None
        for hole in holes:
            if waiting is not None and waiting[0] == hole[1]:
                hole = (hole[0], waiting[1])
            elif waiting is not None:
                yield self._whole(waiting)
            waiting = hole
        if waiting is None:
            return
        if waiting[0] == page.start and page.start > self._start:
            self._open = waiting
        else:
            yield self._whole(waiting)

    def cut(self) -> Iterator[Range]:
        """What comes next will not be known: a hole that reaches down to it ends there."""
        if self._open is not None:
            yield self._whole(self._open)
            self._open = None

    def _whole(self, hole: Range) -> Range:
        self.lowest = min(self.lowest, hole[0])
        return hole
