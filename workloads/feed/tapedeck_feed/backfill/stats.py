"""Progress of a backfill, for the pod's report and its metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import Metric

from tapedeck_common.metrics import counter_family, gauge_family
from tapedeck_crds.report import BackfillReport, FeedReport, ReportState
from tapedeck_feed.output import metrics
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
        """The metrics ``tapedeck_feed_*`` of a backfill."""
        yield metrics.records_metric({"bars": self.published.bars})
        yield metrics.errors_metric(self.published.errors)
        yield metrics.refused_rows_metric(self.published.refusals.rows)
        missing = "Bars that the exchange does not have."
        yield counter_family("tapedeck_feed_missing_bars_total", missing, self.missing)
        for name, about, value in (
            ("checked_bars", "Bars that were requested, or stored before the pod started.", self.done),
            ("expected_bars", "Bars that this pod's range can have.", self.total),
            ("range_start_timestamp_seconds", "Earliest open time of this pod's range.", self.start / 1000),
            ("range_end_timestamp_seconds", "Open time at which this pod's range ends.", self.end / 1000),
        ):
            yield gauge_family(f"tapedeck_feed_backfill_{name}", about, value)

    @property
    def _elapsed(self) -> float:
        return max(time.monotonic() - self._started_at, 0.001) if self._started_at else 1.0

    def _eta(self) -> int | None:
        requested = self.done - self._stored
        return round((self.total - self.done) / (requested / self._elapsed)) if requested else None
