"""Counts of an import of files, for the pod's report and its metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from prometheus_client.core import Metric

from tapedeck_common.metrics import counter_family, gauge_family
from tapedeck_common.refusals import Refusals
from tapedeck_crds.refusals import describe_refused
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_feed.output import metrics

ImportCount: TypeAlias = Literal["bars", "trades", "duplicates", "late"]


@dataclass(eq=False)
class ImportStats:
    """Counts of one import; ``done`` and ``total`` in files, ``taken`` in rows, ``empty`` in rows without values, and
    ``skipped`` in members of archives that hold no market data.

    One thread writes, others may read.
    """

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
    empty: int = 0
    skipped: int = 0
    refusals: Refusals = field(default_factory=Refusals)

    @property
    def errors(self) -> int:
        """Rows that were refused."""
        return self.refusals.rows

    def count(self, name: ImportCount, rows: int = 1) -> None:
        """Add to a count."""
        setattr(self, name, getattr(self, name) + rows)

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
        empty = f", {self.empty} rows without values" if self.empty else ""
        skipped = f", {self.skipped} files in archives without market data left out" if self.skipped else ""
        return f"{imported} of {self.symbols} {plural}{refused}{empty}{missing}{skipped}"

    def refused_summary(self) -> str:
        """How many rows were refused, and why; empty if none was."""
        rows = self.refusals.rows
        return describe_refused(rows, self.taken, self.refusals.reasons()) if rows else ""

    def collect(self) -> Iterator[Metric]:
        """The metrics ``tapedeck_feed_*`` of an import."""
        yield metrics.records_metric({"bars": self.bars, "trades": self.trades})
        yield metrics.errors_metric(self.errors)
        yield metrics.refused_rows_metric(self.refusals.rows)
        yield metrics.duplicates_metric(self.duplicates)
        yield metrics.missing_trades_metric(self.missing)
        yield metrics.gaps_metric(self.gaps)
        unsorted = "Rows that were out of order in their file and were sorted."
        yield counter_family("tapedeck_feed_unsorted_rows_total", unsorted, self.late)
        yield counter_family("tapedeck_feed_imported_files_total", "Files that were read and published.", self.done)
        yield gauge_family("tapedeck_feed_expected_files", "Files of the import.", self.total)
