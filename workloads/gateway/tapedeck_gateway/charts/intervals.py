"""Bar lengths that a request may ask for: intervals of the store, and any number of seconds, minutes, hours or days."""

from __future__ import annotations

import re

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
