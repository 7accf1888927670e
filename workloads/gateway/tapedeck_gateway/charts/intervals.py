"""Bar lengths that a request may ask for: intervals of the store, and any number of seconds, minutes, hours or days."""

from __future__ import annotations

import re
from typing import NamedTuple

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS, DAY_MS, BarLength

_COUNTED = re.compile(r"([1-9][0-9]{0,3})([smhd])")
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}


def interval_length(interval: str) -> BarLength:
    """The length of an interval like 45m. Raises InvalidInput."""
    known = BAR_LENGTHS.get(interval)
    if known is not None:
        return known
    match = _COUNTED.fullmatch(interval)
    if match is None:
        raise InvalidInput(
            f"interval: got {interval[:20]!r}, expected {', '.join(BAR_LENGTHS)}, or another number of s, m, h or d"
        )
    return BarLength(interval, int(match[1]) * _UNITS_MS[match[2]])


class SourceSpan(NamedTuple):
    """The bars with open in [start, end) are made of the stored ones of the length ``base``."""

    base: BarLength
    start: int
    end: int


def source_spans(wanted: BarLength, series: dict[str, tuple[int, int]], start: int, end: int) -> list[SourceSpan]:
    """The stored bars that bars of a length with open in [start, end) are made of, in order; none where none serve.

    Those that ``source_length`` chooses, and before and after them what it chooses of the others.
    """
    base = source_length(wanted, series, start, end)
    if base is None:
        return []
    if start >= end:
        return [SourceSpan(base, start, start)]
    first, close = series[base.interval][0], base.close_of(series[base.interval][1])
    others = {interval: span for interval, span in series.items() if interval != base.interval}
    if close <= start or first >= end:  # it has nothing there, nor have the others
        return [SourceSpan(base, start, end)]

    def has(opened: int) -> bool:
        """Whether one of the others has all of a bar."""
        found = source_length(wanted, others, opened, wanted.close_of(opened))
        if found is None:
            return False
        span = others[found.interval]
        return span[0] <= opened and found.close_of(span[1]) >= wanted.close_of(opened)

    opened, last = wanted.open_of(first), wanted.open_of(close - 1)
    begin = wanted.close_of(opened) if opened < first and has(opened) else opened
    stop = last if close < wanted.close_of(last) and has(last) else wanted.close_of(last)
    begin, stop = max(begin, start), min(stop, end)
    before = [each for each in source_spans(wanted, others, start, begin) if _has_some(series, each)]
    after = [each for each in source_spans(wanted, others, stop, end) if _has_some(series, each)]
    return [*before, SourceSpan(base, begin, stop), *after]


def _has_some(series: dict[str, tuple[int, int]], span: SourceSpan) -> bool:
    first, last = series[span.base.interval]
    return span.start < span.end and first < span.end and span.base.close_of(last) > span.start


def source_length(wanted: BarLength, series: dict[str, tuple[int, int]], start: int, end: int) -> BarLength | None:
    """The stored bars that bars of a length are made of, as Replays and Backtests choose them.

    ``series`` has the first and last open of each stored interval. Bars of the interval itself come first; without
    any in [start, end) the finer ones that cover most of it, the longest of several. None where no stored bars serve.
    """
    chosen: tuple[int, int, BarLength] | None = None
    for interval, (first, last) in series.items():
        length = BAR_LENGTHS[interval]
        if not (length == wanted or wanted.consists_of(length)):
            continue
        covered = max(0, min(end, length.close_of(last)) - max(start, first))
        if length == wanted and covered:
            return length
        if chosen is None or (covered, length.ms) > chosen[:2]:
            chosen = (covered, length.ms, length)
    return None if chosen is None else chosen[2]
