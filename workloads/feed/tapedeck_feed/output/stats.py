"""Counts of one pod that publishes an exchange's records, for its report and its metrics."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import HistogramMetricFamily, Metric

from tapedeck_common.metrics import counter_family, counter_family_by, gauge_family, gauge_family_by
from tapedeck_common.refusals import Refusals
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_feed.output import metrics

LATENCY_BUCKETS = (
    0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0
)  # fmt: skip
"""Bounds in seconds."""


@dataclass(eq=False)
class FeedStats:
    """Counts since the pod's start. One thread writes, others may read. ``without_ids``: trades came without ids.

    ``open_gaps`` are the symbols of which records may be missing at present, ``subscriptions`` the number of those in
    each state. ``recoveries`` and ``probes`` count by result; ``acknowledged_at`` has, by channel, when the last
    record was acknowledged, in Unix time. ``last_message_at`` has the time of the last message of the subscription that
    has been silent the longest, ``missed_probes`` how many probes have since found what one had not delivered.
    """

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
    open_gaps: int = 0
    subscriptions: dict[str, int] = field(default_factory=lambda: {"active": 0, "open": 0, "connecting": 0, "down": 0})
    recoveries: dict[str, int] = field(default_factory=lambda: {"complete": 0, "failed": 0})
    probes: dict[str, int] = field(default_factory=lambda: {"missed": 0, "quiet": 0, "failed": 0})
    acknowledged_at: dict[str, float] = field(default_factory=dict)
    last_message_at: dict[str, float] = field(default_factory=dict)
    missed_probes: dict[str, int] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=Refusals)
    latency_counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    latency_sum: float = 0.0

    def count_trade(self) -> None:
        """A trade was acknowledged."""
        self.trades += 1
        self.acknowledged_at["trades"] = time.time()

    def count_timed_trade(self, seconds: float | None) -> None:
        """A trade was acknowledged so many seconds after it was sent; None where they are unknown."""
        self.count_trade()
        if seconds is not None:
            self.latency_counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
            self.latency_sum += seconds

    def count_bar(self) -> None:
        """A closed bar was acknowledged."""
        self.bars += 1
        self.acknowledged_at["bars"] = time.time()

    def count_ticker(self) -> None:
        """A ticker was acknowledged."""
        self.tickers += 1
        self.acknowledged_at["tickers"] = time.time()

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
        """The metrics ``tapedeck_feed_*`` of a live Feed."""
        yield metrics.records_metric({"trades": self.trades, "bars": self.bars, "tickers": self.tickers})
        yield metrics.errors_metric(self.errors)
        yield metrics.refused_rows_metric(self.refusals.rows)
        yield metrics.duplicates_metric(self.duplicates)
        yield metrics.missing_trades_metric(self.missing)
        yield metrics.gaps_metric(self.gaps)
        for name, about, number in (
            ("late_trades", "Trades that were received after the close of their bar.", self.late),
            ("recovered_trades", "Trades that were requested to fill a gap.", self.recovered),
            ("reconnects", "Subscriptions that were lost and connected again.", self.reconnects),
        ):
            yield counter_family(f"tapedeck_feed_{name}_total", about, number)
        yield counter_family_by(
            "tapedeck_feed_recoveries_total",
            "Recoveries of a symbol's gaps; a failed one is repeated.",
            "result",
            dict(self.recoveries),
        )
        yield counter_family_by(
            "tapedeck_feed_liveness_probes_total",
            "Requests that ask whether a silent subscription has missed records.",
            "result",
            dict(self.probes),
        )
        yield from self._present()
        yield self._latency_histogram()

    def _present(self) -> Iterator[Metric]:
        """The metrics that tell the state at present."""
        skew = None if self.clock_skew_ms is None else self.clock_skew_ms / 1000
        for name, about, number in (
            ("symbols", "Symbols of this pod.", self.symbols),
            (
                "open_gaps",
                "Symbols of which records may be missing at present: their recovery runs, or is due.",
                self.open_gaps,
            ),
            ("clock_skew_seconds", "Seconds by which the exchange's clock is ahead of the pod's.", skew),
        ):
            yield gauge_family(f"tapedeck_feed_{name}", about, number)
        yield gauge_family_by(
            "tapedeck_feed_subscriptions",
            "Subscriptions, by the state of their connection; an open one has delivered nothing yet.",
            "state",
            dict(self.subscriptions),
        )
        yield gauge_family_by(
            "tapedeck_feed_last_record_timestamp_seconds",
            "When the broker last acknowledged a record.",
            "channel",
            dict(self.acknowledged_at),
        )
        yield gauge_family_by(
            "tapedeck_feed_last_message_timestamp_seconds",
            "When the subscription that has been silent the longest had its last message, or the pod's start.",
            "channel",
            dict(self.last_message_at),
        )
        yield gauge_family_by(
            "tapedeck_feed_missed_probes",
            "Probes of a subscription since its last message that found records which it had not delivered.",
            "channel",
            dict(self.missed_probes),
        )

    def _latency_histogram(self) -> Metric:
        buckets, total = [], 0
        for bound, count in zip((*map(str, LATENCY_BUCKETS), "+Inf"), list(self.latency_counts), strict=True):
            total += count
            buckets.append((bound, total))
        about = "Seconds from the receipt of a trade to the broker's acknowledgement, of every 16th trade."
        return HistogramMetricFamily(
            "tapedeck_feed_publish_latency_seconds", about, buckets=buckets, sum_value=self.latency_sum
        )
