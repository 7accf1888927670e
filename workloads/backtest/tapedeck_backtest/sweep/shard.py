"""A shard of a sweep: its trials, in order, without those that the store has already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import msgspec

from tapedeck_backtest.sweep import ranking, search_space
from tapedeck_backtest.sweep.search import Search, search_for
from tapedeck_backtest.sweep.trial import Lab
from tapedeck_backtest.sweep.windows import Window
from tapedeck_common.records import TESTED, RunTrial
from tapedeck_crds.report import TrialReport
from tapedeck_crds.sweep import Sweep

BEST_BYTES = 3_000  # of the 4 KiB that Kubernetes keeps of a pod's last report; of one that is longer nothing is known


@dataclass(frozen=True)
class Deal:
    """What of a sweep falls to one shard: whole windows of a walk-forward, else every ``shards``-th trial."""

    windows: tuple[Window, ...]
    numbers: range

    @property
    def total(self) -> int:
        """Its trials, those that trade a window's best included."""
        return len(self.windows) * len(self.numbers) + sum(window.tested for window in self.windows)


def deal(sweep: Sweep, windows: list[Window], shard: int) -> Deal:
    """The share of a shard: each trial falls to exactly one."""
    if sweep.walk_forward is not None:
        return Deal(tuple(windows[shard :: sweep.shards]), range(search_space.size(sweep)))
    return Deal(tuple(windows), range(shard, search_space.size(sweep), sweep.shards))


def total(sweep: Sweep, windows: list[Window]) -> int:
    """The trials of all shards together."""
    return len(windows) * search_space.size(sweep) + sum(window.tested for window in windows)


@dataclass
class Trials:
    """The work of a shard. ``known`` reads the store's trials, ``emit`` takes new ones.

    ``total`` is the number of trials of all shards.
    """

    lab: Lab
    deal: Deal
    known: Callable[[], Iterable[RunTrial]]
    emit: Callable[[RunTrial], None]
    total: int = 0
    done: dict[tuple[int, int], RunTrial] = field(default_factory=dict)

    def run(self) -> None:
        """Make what is missing. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
        found = _by_window(self.known())
        for window in self.deal.windows:
            self._take(found[window.number])
            search = search_for(self.lab.sweep, window.number)
            for trial in found[window.number].values():
                search.tell(trial)
            self._search(window, search, set(found[window.number]))
            if window.tested and (window.number, TESTED) not in self.done:
                self._test(window)

    def best(self) -> list[RunTrial]:
        """The best of those that this shard made; of a walk-forward, the tests, in order of their windows."""
        made = list(self.done.copy().values())
        if self.lab.sweep.walk_forward is not None:
            return [trial for trial in made if trial.trial == TESTED]
        return ranking.best(self.lab.sweep, made, self.lab.sweep.keep)

    def report(self) -> dict[str, Any]:
        """How far it is, as fields of a report. May be called from another thread."""
        best = [
            TrialReport(window=t.window, trial=t.trial, objective=t.objective, params=msgspec.json.decode(t.params))
            for t in self.best()
            if t.objective is not None
        ][: self.lab.sweep.keep]
        sizes = accumulate(len(each.model_dump_json(by_alias=True)) for each in best)
        kept = tuple(each for each, size in zip(best, sizes, strict=True) if size <= BEST_BYTES)
        return {"tried": len(self.done), "trials": self.total, "best": kept}

    def _take(self, found: dict[int, RunTrial]) -> None:
        mine = set(self.deal.numbers) | {TESTED}
        self.done.update({(t.window, t.trial): t for t in found.values() if t.trial in mine})

    def _search(self, window: Window, search: Search, told: set[int]) -> None:
        for number in self.deal.numbers:
            if (window.number, number) in self.done:
                continue
            for trial in self._news(window, told):
                search.tell(trial)
            made = self._make(window, number, search.ask(number), window.train_from, window.train_to)
            search.tell(made)
            told.add(number)

    def _news(self, window: Window, told: set[int]) -> Iterator[RunTrial]:
        """What other shards found meanwhile, where that matters."""
        if self.lab.sweep.search != "tpe" or self.lab.sweep.walk_forward is not None or self.lab.sweep.shards == 1:
            return
        for number, trial in _by_window(self.known())[window.number].items():
            if number not in told:
                told.add(number)
                yield trial

    def _test(self, window: Window) -> None:
        of_window = (trial for (number, _), trial in self.done.items() if number == window.number)
        found = ranking.best(self.lab.sweep, of_window, 1)
        params = msgspec.json.decode(found[0].params) if found else None
        if params is None:
            nothing = "no trial of the window was feasible: nothing to trade"
            trial = RunTrial(
                self.lab.run_id, window.number, TESTED, msgspec.Raw(b"{}"), window.train_to, window.test_to, {}, None,
                False, message=nothing,
            )  # fmt: skip
            self._keep(trial)
        else:
            self._make(window, TESTED, params, window.train_to, window.test_to)

    def _make(self, window: Window, number: int, params: search_space.Params, start: int, end: int) -> RunTrial:
        trial = self.lab.make(window.number, number, params, start, end)
        self._keep(trial)
        return trial

    def _keep(self, trial: RunTrial) -> None:
        self.emit(trial)
        self.done[trial.window, trial.trial] = trial


def _by_window(trials: Iterable[RunTrial]) -> dict[int, dict[int, RunTrial]]:
    found: dict[int, dict[int, RunTrial]] = defaultdict(dict)
    for trial in trials:
        found[trial.window][trial.trial] = trial
    return found
