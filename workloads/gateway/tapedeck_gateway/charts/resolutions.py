"""Resolutions of charts: the bar lengths that a chart can show, by TradingView's names."""

from __future__ import annotations

from collections.abc import Iterable

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength

_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
# Bars that no feed has, which charts show all the same.
_OF_CHARTS = (
    BarLength("5s", 5_000),
    BarLength("15s", 15_000),
    BarLength("30s", 30_000),
    BarLength("45m", 45 * _MINUTE_MS),
)
BASE = BAR_LENGTHS["1m"]
"""The shortest bars that most series have."""
SHORTEST = BAR_LENGTHS["1s"]
"""The shortest bars that a chart shows: of trades and tickers."""


def _name(length: BarLength) -> str:
    """The minutes of an interval within a day; seconds, days, weeks and months with their letter."""
    if _MINUTE_MS <= length.ms < _DAY_MS:
        return str(length.ms // _MINUTE_MS)
    return f"{length.interval[:-1]}{length.interval[-1].upper()}"


CHART_RESOLUTIONS = {
    _name(length): length for length in sorted([*BAR_LENGTHS.values(), *_OF_CHARTS], key=lambda length: length.ms)
}

CHART_INTERVALS = {length.interval: length for length in CHART_RESOLUTIONS.values()}


def resolution_length(resolution: str) -> BarLength:
    """The length of a resolution's bars. Raises InvalidInput for an unknown resolution."""
    length = CHART_RESOLUTIONS.get(f"1{resolution}" if resolution in ("S", "D", "W", "M") else resolution)
    if length is None:
        raise InvalidInput(f"resolution: got {resolution[:20]!r}, expected one of {', '.join(CHART_RESOLUTIONS)}")
    return length


def resolutions_of(base: BarLength) -> list[str]:
    """The resolutions that can be shown with bars of a length."""
    return [name for name, length in CHART_RESOLUTIONS.items() if is_shown_with(length, base)]


def base_for(intervals: Iterable[str], length: BarLength | None = None) -> BarLength | None:
    """The length of the shortest of ``bases_for``; None where no interval fits."""
    return next(iter(bases_for(intervals, length)[::-1]), None)


def bases_for(intervals: Iterable[str], length: BarLength | None = None) -> list[BarLength]:
    """The lengths of the stored bars to make bars of a length of, or of any, the longest first: a minute at least.

    Bars of seconds, which are many and kept for a shorter time, only where these do not fit.
    """
    stored = [CHART_INTERVALS[interval] for interval in intervals if interval in CHART_INTERVALS]
    fitting = sorted(
        (base for base in stored if length is None or is_shown_with(length, base)), key=lambda base: -base.ms
    )
    return [base for base in fitting if base.ms >= BASE.ms] or fitting


def is_shown_with(length: BarLength, base: BarLength) -> bool:
    """Whether bars of a length are those of ``base``, or consist of them."""
    return length == base or length.consists_of(base)
