"""How a live Feed is doing: counted once, shown in the report and in the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from tapedeck_crds.report import FeedReport, ReportState

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)  # seconds

_COUNTERS = {
    "trades": "Trades that the broker has taken",
    "bars": "Closed bars and corrections that the broker has taken",
    "tickers": "Tickers that the broker has taken",
    "duplicates": "Trades that repeated another and were dropped",
    "errors": "Messages and trades that could not be taken",
    "late": "Trades that came after the close of their bar",
    "missing": "Trades that the exchange could not give any more",
    "mended": "Trades that came by REST behind a hole",
    "reconnects": "Connections that broke and were made again",
}


@dataclass(eq=False)
class LiveTally:
    """The counts of one pod, since it started. One thread writes, others may read."""

    trades: int = 0
    bars: int = 0
    tickers: int = 0
    duplicates: int = 0
    errors: int = 0
    late: int = 0
    missing: int = 0
    mended: int = 0
    reconnects: int = 0
    symbols: int = 0
    clock_skew_ms: int | None = None
    latencies: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    latency_sum: float = 0.0

    def took(self, seconds: float) -> None:
        """A trade was acknowledged so long after it was received."""
        self.latencies[bisect_left(BUCKETS, seconds)] += 1
        self.latency_sum += seconds

    def set_clock_skew(self, milliseconds: int) -> None:
        """Milliseconds by which the exchange's clock is ahead of this one."""
        self.clock_skew_ms = milliseconds

    def report(self, state: ReportState, reason: str, message: str) -> FeedReport:
        """The counts as the pod reports them."""
        return FeedReport(
            state=state,
            reason=reason,
            message=message,
            bars=self.bars,
            trades=self.trades,
            duplicates=self.duplicates,
            errors=self.errors,
            tickers=self.tickers,
            symbols=self.symbols,
            late=self.late,
            missing=self.missing,
            reconnects=self.reconnects,
            clock_skew_ms=self.clock_skew_ms,
        )

    def collect(self) -> Iterator[Metric]:
        """The counts as ``tapedeck_feed_*``."""
        for name, about in _COUNTERS.items():
            yield CounterMetricFamily(f"tapedeck_feed_{name}", about, value=getattr(self, name))
        if self.clock_skew_ms is not None:
            about = "Seconds by which the exchange's clock is ahead"
            yield GaugeMetricFamily("tapedeck_feed_clock_skew_seconds", about, value=self.clock_skew_ms / 1000)
        yield self._histogram()

    def _histogram(self) -> Metric:
        counts, total = [], 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), list(self.latencies), strict=True):
            total += count
            counts.append((bound, total))
        about = "Seconds from a trade's receipt to its acknowledgement by the log; every 16th trade"
        return HistogramMetricFamily("tapedeck_feed_latency_seconds", about, buckets=counts, sum_value=self.latency_sum)
