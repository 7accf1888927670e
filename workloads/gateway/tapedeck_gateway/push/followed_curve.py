"""The equity curve of a run in memory: all of it, thinned where it is long."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tapedeck_gateway.push.protocol.requests import SNAPSHOT_MAX
from tapedeck_gateway.store.runs import CURVE_MIN, EquityPoint

KEPT_POINTS = 2 * SNAPSHOT_MAX  # after thinning; up to twice as many before it


class FollowedCurve:
    """From the first point to the last. Its snapshots depend on what was added, not on who asks or when."""

    def __init__(self, points: Sequence[EquityPoint]) -> None:
        self._points = list(points)

    def extend(self, points: Sequence[EquityPoint]) -> None:
        """Add later points."""
        self._points += points
        if len(self._points) > 2 * KEPT_POINTS:
            self._points = thinned(self._points, KEPT_POINTS)

    def snapshot(self, count: int) -> list[EquityPoint]:
        """The whole curve as at most ``count`` points."""
        return thinned(self._points, count)


def thinned(points: Sequence[EquityPoint], count: int) -> list[EquityPoint]:
    """At most ``count`` points: the first, the last, and of each stretch the extremes of value and drawdown.

    As the store's function equity_curve chooses them. With less than CURVE_MIN points they are the last ones.
    """
    if len(points) <= count:
        return list(points)
    if count < CURVE_MIN:
        return list(points[-count:])
    stretches, first = (count - 2) // 4, points[0].seq
    length = points[-1].seq - first + 1
    # By seq, not by place: what was thinned before has fewer points than what came since.
    by_stretch = groupby(range(1, len(points) - 1), key=lambda n: (points[n].seq - first) * stretches // length)
    chosen = {0, len(points) - 1}
    for _, stretch in by_stretch:
        values = {n: points[n].value for n in stretch}
        chosen |= _extremes(values)
        chosen |= _extremes({n: drawdown for n in values if (drawdown := points[n].drawdown_percent) is not None})
    return [points[n] for n in sorted(chosen)]


def _extremes(figures: dict[int, float]) -> set[int]:
    return {min(figures, key=figures.__getitem__), max(figures, key=figures.__getitem__)} if figures else set()
