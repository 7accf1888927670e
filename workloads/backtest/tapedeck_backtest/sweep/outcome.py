"""The result of a sweep as a whole, once all of its trials are known.

That of a walk-forward is the account of its tests (see trials.out_of_sample). That of any other sweep is its best
trial, with what its Sharpe ratio is worth after so many trials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from pydantic.alias_generators import to_snake

from tapedeck_backtest.report.end_notes import BUST, is_bust
from tapedeck_backtest.report.sharpe import deflated_sharpe
from tapedeck_backtest.report.summary import Figures
from tapedeck_backtest.report.undefined import undefined
from tapedeck_backtest.sweep.ranking import best_trials
from tapedeck_backtest.sweep.windows import SweepWindow, WindowTest
from tapedeck_common.records import OUT_OF_SAMPLE_TRIAL, RunTrial
from tapedeck_crds.report import WINDOW_COUNTS
from tapedeck_crds.sweep import Sweep

OF_SEARCH = ("best_sharpe", "best_sharpe_error", "deflated_sharpe", "trials_with_sharpe")
"""The figures that a sweep has beside those of its best trial."""


def best_of_search(sweep: Sweep, trials: Sequence[RunTrial]) -> Figures:
    """The Sharpe ratio of the best trial, its error, and its deflated Sharpe ratio; empty without a feasible trial."""
    best = best_trials(sweep, trials, 1)
    if not best:
        return {}
    ratios = [ratio for trial in trials if (ratio := trial.metrics.get("sharpe")) is not None]
    sharpe, error = best[0].metrics.get("sharpe"), best[0].metrics.get("sharpe_error")
    known = sharpe is not None and error is not None
    deflated = deflated_sharpe(sharpe or 0.0, error or 0.0, ratios) if known else None
    return dict(zip(OF_SEARCH, (sharpe, error, deflated, float(len(ratios))), strict=True))


def why_none_is_best(sweep: Sweep, trials: list[RunTrial]) -> str:
    """The most frequent reason why a trial has no objective, or that none meets the constraints."""
    name = sweep.objective.metric
    without = [trial for trial in trials if trial.objective is None]
    reasons = Counter(undefined(trial.metrics).get(to_snake(name)) or trial.message for trial in without)
    if not reasons:
        return "no trial is feasible: none meets the constraints"
    (reason, count), *_ = reasons.most_common(1)
    return f"no trial is feasible: {count} of {len(trials)} have no {name}: {reason}"


def trial_counts(trials: Sequence[RunTrial]) -> Figures:
    """How many trials ruined their account, and how many failed; out-of-sample tests count too."""
    failed = [trial for trial in trials if trial.message and not _is_idle_test(trial)]
    return {
        "bust_trials": float(sum(is_bust(trial.metrics) for trial in trials)),
        "failed_trials": float(len(failed)),
    }


def why_trials_are_not_ranked(sweep: Sweep, trials: Sequence[RunTrial]) -> str | None:
    """How many trials can't be among the best, by reason; None where all can."""
    searched = [trial for trial in trials if trial.trial != OUT_OF_SAMPLE_TRIAL]
    counts = Counter(_why_not_ranked(sweep, trial) for trial in searched if not trial.feasible)
    if not counts:
        return None
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f"not ranked of {len(searched)} trials: {reasons}"


def _why_not_ranked(sweep: Sweep, trial: RunTrial) -> str:
    if trial.message:
        return "failed"
    if is_bust(trial.metrics):
        return f"{BUST.lower()} (the account fell to 0 or below)"
    return f"without {sweep.objective.metric}" if trial.objective is None else "against the constraints"


def _is_idle_test(trial: RunTrial) -> bool:
    """Whether this is the test of a window that had no trial to test."""
    return trial.trial == OUT_OF_SAMPLE_TRIAL and trial.params == msgspec.Raw(b"{}")


def why_windows_do_not_trade(sweep: Sweep, trials: Sequence[RunTrial]) -> str | None:
    """How many windows of a walk-forward had no trial to test, and why; None where each had one."""
    idle = {trial.window for trial in trials if trial.trial == OUT_OF_SAMPLE_TRIAL and not trial.metrics}
    if not idle:
        return None
    searched = [trial for trial in trials if trial.window in idle and trial.trial != OUT_OF_SAMPLE_TRIAL]
    return f"{len(idle)} window{'s' * (len(idle) > 1)} did not trade: {why_none_is_best(sweep, searched)}"


@dataclass
class WindowCounts:
    """The windows of a walk-forward.

    ``cold_windows`` started without the bars that the indicators need, ``empty_windows`` had no fill, ``open_windows``
    ended with an open position, whose profit counts in the account's value and in no closed trade.
    """

    windows: int = 0
    cold_windows: int = 0
    empty_windows: int = 0
    open_windows: int = 0

    @classmethod
    def of(cls, figures: Figures) -> WindowCounts:
        """The counts among these figures."""
        return cls(*(int(figures.get(name) or 0) for name in WINDOW_COUNTS))

    def figures(self) -> Figures:
        """The counts by name."""
        return {
            "windows": float(self.windows),
            "cold_windows": float(self.cold_windows),
            "empty_windows": float(self.empty_windows),
            "open_windows": float(self.open_windows),
        }

    def __str__(self) -> str:
        counts = f"{self.windows} windows: {self.cold_windows} cold, {self.empty_windows} without a fill"
        if not self.open_windows:
            return counts
        return (
            f"{counts}, {self.open_windows} ended with an open position: its profit is in the value of the account, "
            "not in trades, win rate and profit factor"
        )


def window_tests(windows: Iterable[SweepWindow], trials: Iterable[RunTrial]) -> list[WindowTest]:
    """The test of each window that has one, in order, from the trials of all shards."""
    tests = {trial.window: trial for trial in trials if trial.trial == OUT_OF_SAMPLE_TRIAL}
    return [
        WindowTest(
            window,
            msgspec.json.decode(tests[window.number].params),
            traded=bool(tests[window.number].metrics),
            cold=tests[window.number].metrics.get("cold") == 1.0,
        )
        for window in windows
        if window.has_test
    ]
