"""Which bars belong to a shard, which are missing, and in which order they are requested. Pure.

A range is a pair of open times [start, end), milliseconds UTC, both multiples of the bar's length.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from tapedeck_common.topics import shard_of
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength

Range: TypeAlias = tuple[int, int]


class SeriesSlice(NamedTuple):
    """One shard's time range of a series."""

    symbol: str
    interval: str
    start: int
    end: int

    @property
    def length(self) -> BarLength:
        """The length of its bars."""
        return BAR_LENGTHS[self.interval]

    def bars_in(self, start: int, end: int) -> int:
        """How many bars a range of it can have."""
        return self.length.number(end) - self.length.number(start)


class PageRequest(NamedTuple):
    """One request to the exchange: open times [start, end) in the slice's missing range number ``range_index``."""

    slice: SeriesSlice
    range_index: int
    start: int
    end: int


def slices_of_shard(
    symbols: Iterable[str], intervals: Iterable[str], whole: Range, closed_until: int, shard: int, shards: int
) -> list[SeriesSlice]:
    """The shard's slice of each series, without bars that close after ``closed_until``, milliseconds UTC.

    Slices follow from the range and the number of shards alone, so that they do not move when the exchange lists new
    symbols. Which slice a shard has rotates with the symbol, so that no shard has the newest slice of every symbol.
    """
    found = []
    for symbol in symbols:
        for interval in intervals:
            length = BAR_LENGTHS[interval]
            first, last = (length.number(length.first_open(time)) for time in whole)
            number = (shard + shard_of(symbol, shards)) % shards
            count = max(last - first, 0)
            start = length.opens(first + count * number // shards)
            end = min(length.opens(first + count * (number + 1) // shards), length.open_of(closed_until))
            if start < end:
                found.append(SeriesSlice(symbol, interval, start, end))
    return found


def subtract(whole: Range, parts: Iterable[Range]) -> list[Range]:
    """What of a range lies in none of the parts, the earliest first."""
    remaining, at = [], whole[0]
    for start, end in sorted(parts):
        if at < min(start, whole[1]):
            remaining.append((at, min(start, whole[1])))
        at = max(at, end)
    if at < whole[1]:
        remaining.append((at, whole[1]))
    return remaining


def page_requests(missing: Iterable[tuple[SeriesSlice, list[Range]]], size: int) -> Iterator[PageRequest]:
    """The requests for missing ranges, the newest first over all series; each covers at most ``size`` bars."""
    return heapq.merge(*(_requests(each, ranges, size) for each, ranges in missing), key=lambda request: -request.end)


def _requests(series_slice: SeriesSlice, ranges: list[Range], size: int) -> Iterator[PageRequest]:
    length = series_slice.length
    for range_index, (start, stop) in reversed(list(enumerate(ranges))):
        first = length.number(start)
        for end in range(length.number(stop), first, -size):
            begin = length.opens(max(first, end - size))
            yield PageRequest(series_slice, range_index, begin, length.opens(end))


def gaps_in(request: PageRequest, opens: Collection[int]) -> list[Range]:
    """The ranges of a request whose bars are not among these open times, the latest first."""
    present = ((ts, request.slice.length.close_of(ts)) for ts in opens)
    return subtract((request.start, request.end), present)[::-1]


class GapTracker:
    """The gaps of one missing range, each reported once and whole, though it may span several pages.

    Pages arrive from the newest to the oldest. ``lowest`` is the lowest start of a reported gap.
    """

    def __init__(self, start: int, end: int) -> None:
        self._start = start
        self._unfinished: Range | None = None  # a gap that reaches down to the next page
        self.lowest = end

    def add_page(self, request: PageRequest, gaps: Iterable[Range]) -> Iterator[Range]:
        """Add a page's gaps, the latest first; yields those whose start is known now."""
        current, self._unfinished = self._unfinished, None
        for gap in gaps:
            if current is not None and current[0] == gap[1]:
                gap = (gap[0], current[1])
            elif current is not None:
                yield self._report(current)
            current = gap
        if current is None:
            return
        if current[0] == request.start and request.start > self._start:
            self._unfinished = current
        else:
            yield self._report(current)

    def finish_gap(self) -> Iterator[Range]:
        """The next page failed, so that its bars are unknown: a gap that reaches down to it ends there."""
        if self._unfinished is not None:
            yield self._report(self._unfinished)
            self._unfinished = None

    def _report(self, gap: Range) -> Range:
        self.lowest = min(self.lowest, gap[0])
        return gap
