"""Takes what the strategy's process tells of its run: publishes records, and keeps progress and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from tapedeck_backtest.bars.resample import feed_names
from tapedeck_backtest.protocol.messages import Note, Notice, Outcome, PathChosen, Progress
from tapedeck_backtest.run.progress import RunProgress
from tapedeck_backtest.run.publisher import ResultPublisher
from tapedeck_backtest.run.record_check import RecordCheck, checked_figures, checked_outcome
from tapedeck_backtest.text import storable
from tapedeck_common.records import RunEquity, RunFill, RunTrade

_Path = Literal["engine", "vectorised"]


class NoticeReceiver:
    """``on_path`` is called when the run's path is known."""

    def __init__(self, progress: RunProgress, publisher: ResultPublisher) -> None:
        self._progress = progress
        self._publisher = publisher
        self._records = RecordCheck("", ())
        self._feeds_per_symbol = 1
        self.on_path: Callable[[_Path], None] = lambda _: None

    def begin(self, run_id: str, symbols: list[str], intervals: Sequence[str]) -> None:
        """What arrives from now on is of this run, over these symbols and the longer intervals built from them."""
        self._records = RecordCheck(run_id, feed_names(symbols, intervals))
        self._feeds_per_symbol = 1 + len(intervals)

    def give_bars(self, count: int) -> None:
        """The strategy is given so many more bars."""
        self._records.give_bars(count * self._feeds_per_symbol)

    def receive(self, notice: Notice) -> None:
        """Take a notice. Raises RunFailed (BadRecord) and Unavailable."""
        match notice:
            case RunFill():
                self._publisher.publish(self._records.fill(notice))
            case RunTrade():
                self._publisher.publish(self._records.trade(notice))
            case RunEquity():
                self._publisher.publish(self._records.equity(notice))
            case Progress():
                self._keep(notice.bars, notice.steps, notice)
            case Note():
                self._progress.note(storable(notice.text))
            case PathChosen():
                self.on_path(notice.path)

    def take(self, outcome: Outcome) -> Outcome:
        """The outcome of the run, checked and kept as its progress. Raises RunFailed (BadRecord)."""
        checked = checked_outcome(outcome)
        self._keep(checked.bars, checked.steps, checked)
        return checked

    def _keep(self, bars: int, steps: int, of: Progress | Outcome) -> None:
        self._progress.bars = bars
        self._progress.summary = checked_figures(of.figures) if steps else {}
