"""Counts of one pod that publishes an exchange's records, for its report and its metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from tapedeck_common.refusals import Refusals
from tapedeck_crds.report import FeedReport, ReportState

LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)  # seconds

_COUNTERS = {
    "trades": "Trades acknowledged by the broker",
    "bars": "Closed bars and corrections acknowledged by the broker",
    "tickers": "Tickers acknowledged by the broker",
    "duplicates": "Trades dropped because they repeat another",
    "errors": "Messages, trades and bars that could not be converted or recovered",
    "late": "Trades that arrived after the close of their bar",
    "missing": "Trades that the exchange no longer has",
    "recovered": "Trades fetched by REST to fill a gap",
    "reconnects": "Subscriptions that were lost and connected again",
}


@dataclass(eq=False)
class FeedStats:
    """Counts since the pod's start. One thread writes, others may read. ``without_ids``: trades came without ids."""

    trades: int = 0
    bars: int = 0
    tickers: int = 0
    duplicates: int = 0
    errors: int = 0
    late: int = 0
    missing: int = 0
    gaps: int = 0
    recovered: int = 0
    reconnects: int = 0
    symbols: int = 0
    clock_skew_ms: int | None = None
    without_ids: bool = False
    refusals: Refusals = field(default_factory=Refusals)
    latency_counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    latency_sum: float = 0.0

    def count_trade(self) -> None:
        """A trade was acknowledged."""
        self.trades += 1

    def count_timed_trade(self, seconds: float | None) -> None:
        """A trade was acknowledged so many seconds after it was sent; None where they are unknown."""
        self.trades += 1
        if seconds is not None:
            self.latency_counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
            self.latency_sum += seconds

    def count_bar(self) -> None:
        """A closed bar was acknowledged."""
        self.bars += 1

    def count_ticker(self) -> None:
        """A ticker was acknowledged."""
        self.tickers += 1

    def count_errors(self, rows: int) -> None:
        """An ingest error about so many rows was acknowledged."""
        self.errors += rows

    def set_clock_skew(self, milliseconds: int) -> None:
        """The exchange's clock is ahead of the pod's by this much."""
        self.clock_skew_ms = milliseconds

    def report(self, state: ReportState, reason: str, message: str) -> FeedReport:
        """The counts in the pod's report."""
        return FeedReport(
            state=state,
            reason=reason,
            message=message,
            bars=self.bars,
            trades=self.trades,
            duplicates=self.duplicates,
            errors=self.errors,
            taken=self.trades + self.bars + self.tickers,
            refused_rows=self.refusals.rows,
            refused=self.refusals.reasons(),
            tickers=self.tickers,
            symbols=self.symbols,
            late=self.late,
            missing=self.missing,
            gaps=self.gaps,
            reconnects=self.reconnects,
            clock_skew_ms=self.clock_skew_ms,
        )

    def collect(self) -> Iterator[Metric]:
        """The metrics ``tapedeck_feed_*``."""
        for name, documentation in _COUNTERS.items():
            yield CounterMetricFamily(f"tapedeck_feed_{name}", documentation, value=getattr(self, name))
        if self.clock_skew_ms is not None:
            yield GaugeMetricFamily(
                "tapedeck_feed_clock_skew_seconds",
                "Seconds by which the exchange's clock is ahead of the pod's",
                value=self.clock_skew_ms / 1000,
            )
        yield self._latency_histogram()

    def _latency_histogram(self) -> Metric:
        buckets, total = [], 0
        for bound, count in zip((*map(str, LATENCY_BUCKETS), "+Inf"), list(self.latency_counts), strict=True):
            total += count
            buckets.append((bound, total))
        documentation = "Seconds from a trade's receipt to its acknowledgement by the broker, of every 16th trade"
        return HistogramMetricFamily(
            "tapedeck_feed_latency_seconds", documentation, buckets=buckets, sum_value=self.latency_sum
        )
