"""What transforms have come to: counted, told once a minute what failed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from prometheus_client import Counter

from tapedeck_common.logs import log
from tapedeck_crds.report import TransformReport, TransformsReport
from tapedeck_crds.transforms import Transform

LOG_SECONDS = 60.0
MESSAGE_MAX = 300
POINTS = Counter("tapedeck_transform_points_total", "Results published.", ["transform"])
ERRORS = Counter("tapedeck_transform_errors_total", "Records without a result because it failed.", ["transform"])


class Tally:
    """Counts by transform, since the pod was started."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self._names = [each.name for each in transforms]
        self._points = dict.fromkeys(self._names, 0)
        self._errors = dict.fromkeys(self._names, 0)
        self._last = dict.fromkeys(self._names, "")
        self._told = dict.fromkeys(self._names, (float("-inf"), 0))
        self.caught_up: int | None = None

    def point(self, name: str) -> None:
        """One was published."""
        self._points[name] += 1
        POINTS.labels(name).inc()

    def failed(self, name: str, reason: str) -> None:
        """One there is not."""
        self._errors[name] += 1
        self._last[name] = reason[:MESSAGE_MAX]
        ERRORS.labels(name).inc()
        at, before = self._told[name]
        if time.monotonic() - at >= LOG_SECONDS:
            self._told[name] = (time.monotonic(), self._errors[name])
            log.warning("a transform failed", transform=name, reason=reason, times=self._errors[name] - before)

    def report(self, lookbacks: Mapping[str, int], problems: Mapping[str, str]) -> TransformsReport:
        """What is said of them."""
        return TransformsReport(
            results=tuple(
                TransformReport(
                    name=name,
                    points=self._points[name],
                    errors=self._errors[name],
                    lookback=lookbacks.get(name, 0),
                    message=problems.get(name) or self._last[name],
                )
                for name in self._names
            ),
            caught_up=self.caught_up,
        )
