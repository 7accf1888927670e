"""Counts of results and failures by transform, as metrics, log lines and report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from prometheus_client import Counter

from tapedeck_common.logs import log
from tapedeck_common.metrics import LateGauge
from tapedeck_crds.report import TransformReport, TransformsReport
from tapedeck_crds.transforms import Transform

LOG_SECONDS = 60.0
MESSAGE_MAX = 300
POINTS = Counter("tapedeck_transform_points_total", "Points published.", ["transform"])
ERRORS = Counter("tapedeck_transform_errors_total", "Records whose result could not be computed.", ["transform"])
RECORDS = Counter("tapedeck_transform_records_total", "Records of the log that were processed.")
CAUGHT_UP = LateGauge(
    "tapedeck_transform_caught_up_timestamp_seconds", "Time up to which all records of the log are processed."
)


class TransformStats:
    """Counts since the start of the pod."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self._names = [each.name for each in transforms]
        self._points = dict.fromkeys(self._names, 0)
        self._errors = dict.fromkeys(self._names, 0)
        self._last_error = dict.fromkeys(self._names, "")
        self._logged = dict.fromkeys(self._names, (float("-inf"), 0))  # when, and at how many errors
        for each in self._names:
            POINTS.labels(each)
            ERRORS.labels(each)
        self.caught_up: int | None = None

    def catch_up(self, until_ms: int) -> None:
        """All records of the log up to this time, milliseconds UTC, are processed."""
        self.caught_up = until_ms
        CAUGHT_UP.set(until_ms / 1000)

    def count_point(self, name: str) -> None:
        """A transform's point was published."""
        self._points[name] += 1
        POINTS.labels(name).inc()

    def count_error(self, name: str, reason: str) -> None:
        """A transform's result could not be computed. Logged at most once in LOG_SECONDS for each transform."""
        self._errors[name] += 1
        self._last_error[name] = reason[:MESSAGE_MAX]
        ERRORS.labels(name).inc()
        at, before = self._logged[name]
        if time.monotonic() - at >= LOG_SECONDS:
            self._logged[name] = (time.monotonic(), self._errors[name])
            log.warning("transform failed", transform=name, reason=reason, times=self._errors[name] - before)

    def report(self, lookbacks: Mapping[str, int], problems: Mapping[str, str]) -> TransformsReport:
        """The report of all transforms; a permanent problem has precedence over the last error."""
        return TransformsReport(
            results=tuple(
                TransformReport(
                    name=name,
                    points=self._points[name],
                    errors=self._errors[name],
                    lookback=lookbacks.get(name, 0),
                    message=problems.get(name) or self._last_error[name],
                )
                for name in self._names
            ),
            caught_up=self.caught_up,
        )
