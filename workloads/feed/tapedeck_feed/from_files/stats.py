"""How far a Feed is: counted once, shown in the report and in the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prometheus_client.core import CounterMetricFamily, Metric

from tapedeck_crds.report import FeedReport, ReportState

Countable: TypeAlias = Literal["bars", "trades", "duplicates", "errors", "late"]

_ABOUT = {
    "bars": "Bars that the broker has taken",
    "trades": "Trades that the broker has taken",
    "duplicates": "Rows that repeated another and were dropped",
    "errors": "Rows that could not be taken",
    "late": "Rows that stood behind later ones and were put in order",
    "done": "Files read and published",
}


@dataclass(eq=False)
class Tally:
    """The counts of one run. One thread writes, others may read."""

    done: int = 0
    total: int = 0
    bars: int = 0
    trades: int = 0
    duplicates: int = 0
    errors: int = 0
    late: int = 0
    symbols: int = 0

    def count(self, what: Countable) -> None:
        """One more of these."""
        setattr(self, what, getattr(self, what) + 1)

    def report(self, state: ReportState, reason: str = "", message: str = "") -> FeedReport:
        """The counts as the pod reports them."""
        return FeedReport(
            state=state,
            reason=reason,
            message=message,
            done=self.done,
            total=self.total,
            bars=self.bars,
            trades=self.trades,
            duplicates=self.duplicates,
            errors=self.errors,
        )

    def summary(self) -> str:
        """What the run brought, in a line: ``13886 bars of 4 symbols``."""
        brought = f"{self.bars} bars" + (f" and {self.trades} trades" if self.trades else "")
        plural = "symbol" if self.symbols == 1 else "symbols"
        faults = f", {self.errors} rows refused (see ingest_errors)" if self.errors else ""
        return f"{brought} of {self.symbols} {plural}{faults}"

    def collect(self) -> Iterator[Metric]:
        """The counts as Prometheus counters ``tapedeck_feed_*_total``."""
        for field, about in _ABOUT.items():
            name = "files" if field == "done" else field
            yield CounterMetricFamily(f"tapedeck_feed_{name}", about, value=getattr(self, field))
