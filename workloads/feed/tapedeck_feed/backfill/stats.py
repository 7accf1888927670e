"""How far a backfill is: counted once, shown in the report and in the metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from tapedeck_crds.report import BackfillReport, FeedReport, ReportState
from tapedeck_feed.output.stats import LiveTally

ERROR_MAX = 300  # characters


@dataclass(eq=False)
class BackfillTally:
    """The counts of one pod, since it started; ``done`` and ``total`` in bars that there could be.

    One thread writes, others may read. ``sent`` counts what the broker took.
    """

    start: int = 0
    end: int = 0
    done: int = 0
    total: int = 0
    missing: int = 0
    retries: int = 0
    last_error: str = ""
    sent: LiveTally = field(default_factory=LiveTally)
    _known: int = 0
    _since: float = 0.0

    def begin(self, total: int, known: int) -> None:
        """Work begins; so many of all bars need not be asked for."""
        self.total, self.done, self._known, self._since = total, known, known, time.monotonic()

    def failed(self, error: Exception) -> None:
        """A request came to nothing."""
        self.last_error = str(error)[:ERROR_MAX]

    @property
    def rate(self) -> float:
        """Bars a second, on average."""
        return self.sent.bars / self._elapsed

    def report(self, state: ReportState, reason: str, message: str) -> FeedReport:
        """The counts as the pod reports them."""
        return FeedReport(
            state=state,
            reason=reason,
            message=message,
            bars=self.sent.bars,
            errors=self.sent.errors,
            symbols=self.sent.symbols,
            clock_skew_ms=self.sent.clock_skew_ms,
            backfill=BackfillReport(
                range_from=self.start,
                range_to=self.end,
                done=self.done,
                total=self.total,
                rows=self.sent.bars,
                missing=self.missing,
                rate=round(self.rate, 1),
                retries=self.retries,
                eta_seconds=self._eta(),
                last_error=self.last_error,
            ),
        )

    def collect(self) -> Iterator[Metric]:
        """``tapedeck_feed_backfill_*``; the pod's labels tell the shards apart."""
        for name, value, about in (
            ("done_bars", self.done, "Bars asked for, or known before"),
            ("total_bars", self.total, "Bars that this pod's part can have"),
            ("rate_bars_per_second", self.rate, "Bars a second, on average"),
            ("range_start_seconds", self.start / 1000, "Earliest open time of this pod's part, since 1970"),
            ("range_end_seconds", self.end / 1000, "Open time before which this pod's part ends, since 1970"),
        ):
            yield GaugeMetricFamily(f"tapedeck_feed_backfill_{name}", about, value=value)
        for name, value, about in (
            ("rows", self.sent.bars, "Bars that the broker has taken"),
            ("missing", self.missing, "Bars that the exchange does not have"),
            ("retries", self.retries, "Requests that were made again"),
            ("errors", self.sent.errors, "What could not be taken; see ingest_errors"),
        ):
            yield CounterMetricFamily(f"tapedeck_feed_backfill_{name}", about, value=value)
        about = "What the exchange last answered instead of bars"
        yield InfoMetricFamily("tapedeck_feed_backfill_last_error", about, value={"message": self.last_error})

    @property
    def _elapsed(self) -> float:
        return max(time.monotonic() - self._since, 0.001) if self._since else 1.0

    def _eta(self) -> int | None:
        asked = self.done - self._known
        return round((self.total - self.done) / (asked / self._elapsed)) if asked else None
