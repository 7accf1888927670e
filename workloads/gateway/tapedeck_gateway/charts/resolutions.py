"""Resolutions of charts: the bar lengths that a chart can show, by TradingView's names."""

from __future__ import annotations

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength

BASE = BAR_LENGTHS["1m"]  # the shortest bars that a chart shows


def _name(length: BarLength) -> str:
    """The minutes of an interval within a day; the days, weeks and months with their letter."""
    count, unit = length.interval[:-1], length.interval[-1]
    return f"{count}{unit.upper()}" if unit in "dwM" else str(length.ms // BASE.ms)


CHART_RESOLUTIONS = {_name(length): length for length in BAR_LENGTHS.values() if length.ms >= BASE.ms}

CHART_INTERVALS = {length.interval: length for length in CHART_RESOLUTIONS.values()}


def resolution_length(resolution: str) -> BarLength:
    """The length of a resolution's bars. Raises InvalidInput for an unknown resolution."""
    length = CHART_RESOLUTIONS.get(f"1{resolution}" if resolution in ("D", "W", "M") else resolution)
    if length is None:
        raise InvalidInput(f"resolution: got {resolution[:20]!r}, expected one of {', '.join(CHART_RESOLUTIONS)}")
    return length


def resolutions_of(base: BarLength) -> list[str]:
    """The resolutions that can be shown with bars of a length."""
    return [name for name, length in CHART_RESOLUTIONS.items() if is_shown_with(length, base)]


def is_shown_with(length: BarLength, base: BarLength) -> bool:
    """Whether bars of a length are those of ``base``, or consist of them."""
    return length == base or length.consists_of(base)
