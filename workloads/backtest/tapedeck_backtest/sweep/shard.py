"""A shard of a sweep: its trials, in order, without those that the store already has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import msgspec

from tapedeck_backtest.sweep.ranking import best_trials
from tapedeck_backtest.sweep.search import Search, search_for
from tapedeck_backtest.sweep.search_space import Params, trials_per_window
from tapedeck_backtest.sweep.windows import SweepWindow
from tapedeck_common.records import OUT_OF_SAMPLE_TRIAL, RunTrial
from tapedeck_crds.report import TrialReport
from tapedeck_crds.sweep import Sweep

BEST_BYTES = 2_400  # of the 4 KiB that Kubernetes keeps of a termination message; a longer one is cut and unreadable


@dataclass(frozen=True)
class ShardPlan:
    """The trials of one shard: whole windows of a walk-forward, otherwise every n-th trial of n shards."""

    windows: tuple[SweepWindow, ...]
    numbers: range

    @property
    def total(self) -> int:
        """The number of its trials, including out-of-sample tests."""
        return len(self.windows) * len(self.numbers) + sum(window.has_test for window in self.windows)


def shard_plan(sweep: Sweep, windows: list[SweepWindow], shard: int) -> ShardPlan:
    """The plan of a shard. Each trial belongs to exactly one shard."""
    if sweep.walk_forward is not None:
        return ShardPlan(tuple(windows[shard :: sweep.shards]), range(trials_per_window(sweep)))
    return ShardPlan(tuple(windows), range(shard, trials_per_window(sweep), sweep.shards))


def total_trials(sweep: Sweep, windows: list[SweepWindow]) -> int:
    """The number of trials of all shards, including out-of-sample tests."""
    return len(windows) * trials_per_window(sweep) + sum(window.has_test for window in windows)


@dataclass(frozen=True)
class ShardProgress:
    """Completed trials of this shard, trials of all shards, and the best of this shard, for the pod's report."""

    completed: int
    total: int
    best: tuple[TrialReport, ...]


class Trials(Protocol):
    """What runs the trials of a sweep."""

    @property
    def run_id(self) -> str: ...

    @property
    def sweep(self) -> Sweep: ...

    def run(self, window: int, number: int, params: Params, start: int, end: int) -> RunTrial: ...

    def run_test(self, window: SweepWindow, params: Params) -> RunTrial: ...


@dataclass
class ShardRunner:
    """Runs the trials of a shard. ``load_completed`` reads the store's trials, ``emit`` receives new ones.

    ``total`` is the number of trials of all shards.
    """

    trials: Trials
    plan: ShardPlan
    load_completed: Callable[[], Iterable[RunTrial]]
    emit: Callable[[RunTrial], None]
    total: int = 0
    completed: dict[tuple[int, int], RunTrial] = field(default_factory=dict)

    @property
    def _sweep(self) -> Sweep:
        return self.trials.sweep

    def run(self) -> None:
        """Run the missing trials. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
        stored = _by_window(self.load_completed())
        for window in self.plan.windows:
            self._adopt(stored[window.number])
            search = search_for(self._sweep, window.number)
            for trial in stored[window.number].values():
                search.report(trial)
            self._search(window, search, set(stored[window.number]))
            if window.has_test and (window.number, OUT_OF_SAMPLE_TRIAL) not in self.completed:
                self._test(window)

    def best(self) -> list[RunTrial]:
        """The best trials of this shard; of a walk-forward the out-of-sample tests, in order of their windows."""
        trials = list(self.completed.copy().values())
        if self._sweep.walk_forward is not None:
            return [trial for trial in trials if trial.trial == OUT_OF_SAMPLE_TRIAL]
        return best_trials(self._sweep, trials, self._sweep.keep)

    def progress(self) -> ShardProgress:
        """The progress for the pod's report, bounded in size. May be called from another thread."""
        best = [
            TrialReport(
                window=t.window, trial=t.trial, start=t.start, end=t.end, objective=t.objective,
                params=msgspec.json.decode(t.params),
            )
            for t in self.best()
            if t.objective is not None
        ][: self._sweep.keep]  # fmt: skip
        sizes = accumulate(len(each.model_dump_json(by_alias=True)) for each in best)
        kept = tuple(each for each, size in zip(best, sizes, strict=True) if size <= BEST_BYTES)
        return ShardProgress(len(self.completed), self.total, kept)

    def _adopt(self, stored: dict[int, RunTrial]) -> None:
        """Count the stored trials that belong to this shard as completed."""
        own = set(self.plan.numbers) | {OUT_OF_SAMPLE_TRIAL}
        self.completed.update({(t.window, t.trial): t for t in stored.values() if t.trial in own})

    def _search(self, window: SweepWindow, search: Search, reported: set[int]) -> None:
        for number in self.plan.numbers:
            if (window.number, number) in self.completed:
                continue
            for trial in self._trials_of_other_shards(window, reported):
                search.report(trial)
            trial = self._run(window, number, search.suggest(number), window.train_from, window.train_to)
            search.report(trial)
            reported.add(number)

    def _trials_of_other_shards(self, window: SweepWindow, reported: set[int]) -> Iterator[RunTrial]:
        """Trials that other shards have completed meanwhile, if the search learns from them."""
        if self._sweep.search != "tpe" or self._sweep.walk_forward is not None or self._sweep.shards == 1:
            return
        for number, trial in _by_window(self.load_completed())[window.number].items():
            if number not in reported:
                reported.add(number)
                yield trial

    def _test(self, window: SweepWindow) -> None:
        """Trade the best trial of the window out-of-sample."""
        searched = (trial for (number, _), trial in self.completed.items() if number == window.number)
        best = best_trials(self._sweep, searched, 1)
        if best:
            self._complete(self.trials.run_test(window, msgspec.json.decode(best[0].params)))
            return
        self._complete(
            RunTrial(
                self.trials.run_id, window.number, OUT_OF_SAMPLE_TRIAL, msgspec.Raw(b"{}"), window.train_to,
                window.test_to, {}, None, False,
                message="no feasible trial in the window's in-sample part: nothing to trade out-of-sample",
            )
        )  # fmt: skip

    def _run(self, window: SweepWindow, number: int, params: Params, start: int, end: int) -> RunTrial:
        trial = self.trials.run(window.number, number, params, start, end)
        self._complete(trial)
        return trial

    def _complete(self, trial: RunTrial) -> None:
        self.emit(trial)
        self.completed[trial.window, trial.trial] = trial


def _by_window(trials: Iterable[RunTrial]) -> dict[int, dict[int, RunTrial]]:
    result: dict[int, dict[int, RunTrial]] = defaultdict(dict)
    for trial in trials:
        result[trial.window][trial.trial] = trial
    return result
