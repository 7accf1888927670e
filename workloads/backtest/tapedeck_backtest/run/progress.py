"""The progress of a run, which the probe server's thread reads while the main thread advances it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tapedeck_backtest.protocol.messages import NOTES_MAX
from tapedeck_backtest.report.end_notes import BUST, end_notes, is_bust
from tapedeck_backtest.report.summary import HEADLINE, Figures
from tapedeck_backtest.report.undefined import reason_lines, undefined
from tapedeck_backtest.sweep.shard import ShardRunner
from tapedeck_common.logs import log
from tapedeck_crds.report import TRIAL_COUNTS, WINDOW_COUNTS, BacktestReport, ReportState


@dataclass
class RunProgress:
    """``total`` is the number of bars, 0 if unknown; ``bars`` of them are processed. ``shard`` is set for a sweep.

    ``summary`` has the figures of the account so far, and none before the first step. ``figures`` are those of a sweep
    as a whole. ``notes`` say what the user should know of a run that has not failed.
    """

    run_id: str
    state: ReportState = "starting"
    reason: str = ""
    message: str = ""
    notes: list[str] = field(default_factory=list)
    total: int = 0
    bars: int = 0
    summary: Figures = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)
    shard: ShardRunner | None = None

    def note(self, text: str) -> None:
        """Something that the user should know of the run, for its log and its status; of many the first."""
        if len(self.notes) < NOTES_MAX:
            log.warning("note", message=text)
            self.notes.append(text)

    def restart(self, run_id: str) -> None:
        """Begin another run under its own id, waiting for its first bar."""
        self.run_id = run_id
        self.summary, self.bars, self.total = {}, 0, 0
        self.state = "waiting"

    def fail(self, reason: str, message: str) -> None:
        """The run has failed."""
        self.state, self.reason, self.message = "failed", reason, message

    def end_message(self) -> str:
        """What the user should know of the run at its end."""
        return "; ".join([*self.notes, *end_notes(self.summary)])

    def complete(self) -> None:
        """The run is complete, and its end is published."""
        self.state, self.message = "complete", self.end_message()
        self.reason = BUST if is_bust(self.summary) else ""

    def report(self) -> BacktestReport:
        """The progress and the headline figures so far. May be called from another thread."""
        summary, bars, shard = self.summary, self.bars, self.shard
        headline: dict[str, Any] = {name: summary.get(name) for name in HEADLINE}
        report = BacktestReport(
            state="running" if self.state == "waiting" and bars else self.state,
            reason=self.reason,
            message=self.message or "; ".join(self.notes),
            run_id=self.run_id,
            bars=bars,
            total=self.total,
            trades=int(summary.get("trades") or 0),
            value=summary.get("final_value"),
            daily_returns=int(summary.get("daily_returns") or 0),
            undefined=reason_lines({name: why for name, why in undefined(summary).items() if name in HEADLINE}),
            open_positions=_count(summary, "open_positions"),
            open_orders=_count(summary, "open_orders"),
            **headline,
        )
        if shard is None:
            return report
        progress = shard.progress()
        return report.model_copy(
            update={
                "tried": progress.completed,
                "trials": progress.total,
                "best": progress.best,
                "deflated_sharpe": self.figures.get("deflated_sharpe"),
                **{name: int(self.figures.get(name) or 0) for name in WINDOW_COUNTS},
                **{name: _count(self.figures, name) for name in TRIAL_COUNTS},
            }
        )


def _count(summary: Figures, name: str) -> int | None:
    number = summary.get(name)
    return None if number is None else int(number)
