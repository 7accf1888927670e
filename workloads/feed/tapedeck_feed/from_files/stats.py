"""Counts of an import of files, for the pod's report and its metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from prometheus_client.core import CounterMetricFamily, Metric

from tapedeck_common.refusals import Refusals
from tapedeck_crds.refusals import describe_refused
from tapedeck_crds.report import FeedReport, ReportState

ImportCount: TypeAlias = Literal["bars", "trades", "duplicates", "late"]

_COUNTERS = {
    "bars": "Bars acknowledged by the broker",
    "trades": "Trades acknowledged by the broker",
    "duplicates": "Rows dropped because they repeat another",
    "errors": "Rows that are invalid or in conflict with another",
    "late": "Rows that were out of order in their file and were sorted",
    "missing": "Trades that are missing by ids that count up",
    "done": "Files read and published",
}


@dataclass(eq=False)
class ImportStats:
    """Counts of one import; ``done`` and ``total`` in files, ``taken`` in rows. One thread writes, others may read."""

    done: int = 0
    total: int = 0
    bars: int = 0
    trades: int = 0
    duplicates: int = 0
    taken: int = 0
    late: int = 0
    missing: int = 0
    gaps: int = 0
    symbols: int = 0
    refusals: Refusals = field(default_factory=Refusals)

    @property
    def errors(self) -> int:
        """Rows that were refused."""
        return self.refusals.rows

    def count(self, name: ImportCount) -> None:
        """Add one to a count."""
        setattr(self, name, getattr(self, name) + 1)

    def report(self, state: ReportState, reason: str = "", message: str = "") -> FeedReport:
        """The counts in the pod's report."""
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
            taken=self.taken,
            missing=self.missing,
            gaps=self.gaps,
            refused_rows=self.refusals.rows,
            refused=self.refusals.reasons(),
        )

    def summary(self) -> str:
        """What was imported, in a line: ``13886 bars of 4 symbols``."""
        imported = f"{self.bars} bars" + (f" and {self.trades} trades" if self.trades else "")
        plural = "symbol" if self.symbols == 1 else "symbols"
        refused = f", {self.errors} rows refused" if self.errors else ""
        missing = f", {self.missing} trades missing by their ids (see gaps)" if self.missing else ""
        return f"{imported} of {self.symbols} {plural}{refused}{missing}"

    def refused_summary(self) -> str:
        """How many rows were refused, and why; empty if none was."""
        rows = self.refusals.rows
        return describe_refused(rows, self.taken, self.refusals.reasons()) if rows else ""

    def collect(self) -> Iterator[Metric]:
        """The metrics ``tapedeck_feed_*_total``."""
        for count, documentation in _COUNTERS.items():
            name = "files" if count == "done" else count
            yield CounterMetricFamily(f"tapedeck_feed_{name}", documentation, value=getattr(self, count))
