"""Progress of a backfill, for the pod's report and its metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from tapedeck_crds.report import BackfillReport, FeedReport, ReportState
from tapedeck_feed.output.stats import FeedStats

ERROR_MAX = 300  # characters


@dataclass(eq=False)
class BackfillStats:
    """Progress since the pod's start. One thread writes, others may read.

    ``start`` and ``end`` are open times, milliseconds UTC; ``done`` and ``total`` count the bars that the range can
    have, ``published`` those that the broker acknowledged.
    """

    start: int = 0
    end: int = 0
    done: int = 0
    total: int = 0
    missing: int = 0
    retries: int = 0
    last_error: str = ""
    published: FeedStats = field(default_factory=FeedStats)
    _stored: int = 0
    _started_at: float = 0.0

    def begin(self, total: int, stored: int) -> None:
        """The download begins; ``stored`` of all bars need no request."""
        self.total, self.done, self._stored, self._started_at = total, stored, stored, time.monotonic()

    def record_failure(self, error: Exception) -> None:
        """A request failed."""
        self.last_error = str(error)[:ERROR_MAX]

    @property
    def rate(self) -> float:
        """Published bars per second, on average."""
        return self.published.bars / self._elapsed

    def summary(self) -> str:
        """The progress, in a line."""
        missing = f", {self.missing} that the exchange does not have" if self.missing else ""
        return f"{self.done} of {self.total} bars checked, {self.published.bars} downloaded{missing}"

    def report(self, state: ReportState, reason: str, message: str) -> FeedReport:
        """The progress in the pod's report."""
        return FeedReport(
            state=state,
            reason=reason,
            message=message,
            bars=self.published.bars,
            errors=self.published.errors,
            taken=self.published.bars,
            refused_rows=self.published.refusals.rows,
            refused=self.published.refusals.reasons(),
            symbols=self.published.symbols,
            clock_skew_ms=self.published.clock_skew_ms,
            backfill=BackfillReport(
                range_from=self.start,
                range_to=self.end,
                done=self.done,
                total=self.total,
                rows=self.published.bars,
                missing=self.missing,
                rate=round(self.rate, 1),
                retries=self.retries,
                eta_seconds=self._eta(),
                last_error=self.last_error,
            ),
        )

    def collect(self) -> Iterator[Metric]:
        """The metrics ``tapedeck_feed_backfill_*``; the pod's labels distinguish the shards."""
        for name, value, documentation in (
            ("done_bars", self.done, "Bars requested, or stored before the pod's start"),
            ("total_bars", self.total, "Bars that this pod's range can have"),
            ("rate_bars_per_second", self.rate, "Published bars per second, on average"),
            ("range_start_seconds", self.start / 1000, "Earliest open time of this pod's range, seconds since 1970"),
            ("range_end_seconds", self.end / 1000, "Open time at which this pod's range ends, seconds since 1970"),
        ):
            yield GaugeMetricFamily(f"tapedeck_feed_backfill_{name}", documentation, value=value)
        for name, value, documentation in (
            ("rows", self.published.bars, "Bars acknowledged by the broker"),
            ("missing", self.missing, "Bars that the exchange does not have"),
            ("retries", self.retries, "Requests that were retried"),
            ("errors", self.published.errors, "Bars and pages that could not be converted or downloaded"),
        ):
            yield CounterMetricFamily(f"tapedeck_feed_backfill_{name}", documentation, value=value)
        documentation = "The last error of a request to the exchange"
        yield InfoMetricFamily("tapedeck_feed_backfill_last_error", documentation, value={"message": self.last_error})

    @property
    def _elapsed(self) -> float:
        return max(time.monotonic() - self._started_at, 0.001) if self._started_at else 1.0

    def _eta(self) -> int | None:
        requested = self.done - self._stored
        return round((self.total - self.done) / (requested / self._elapsed)) if requested else None
