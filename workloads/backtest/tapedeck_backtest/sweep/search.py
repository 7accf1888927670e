"""Search methods: which params to try next, given the completed trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from tapedeck_backtest.sweep.search_space import Params, axis_points, grid_params, is_integer_range, random_params
from tapedeck_common.records import RunTrial
from tapedeck_crds.sweep import Axis, Sweep

if TYPE_CHECKING:
    import optuna


class Search(Protocol):
    """Suggests params for a trial by its number, and learns from completed trials, each reported once in any order."""

    def suggest(self, number: int) -> Params: ...

    def report(self, trial: RunTrial) -> None: ...


class FixedSearch:
    """A grid or a random search, which learns nothing from completed trials."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def suggest(self, number: int) -> Params:
        if self._sweep.search == "grid":
            return grid_params(self._sweep.params, number)
        return random_params(self._sweep.params, self._sweep.seed, number)

    def report(self, trial: RunTrial) -> None:
        pass


class TpeSearch:
    """Optuna's tree-structured Parzen estimator over one window. Pods share trials through the store, not Optuna's."""

    def __init__(self, sweep: Sweep, window: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._seed = sweep.seed + window
        self._study = optuna.create_study(direction=sweep.objective.direction)
        self._space = {axis.name: _distribution(axis) for axis in sweep.params}

    def suggest(self, number: int) -> Params:
        """The seed depends on the number: a trial that is repeated after the same reports is the same."""
        self._study.sampler = self._optuna.samplers.TPESampler(seed=(self._seed * 1_000_003 + number) % 2**32)
        suggestion = self._study.ask(self._space)
        # The result arrives through ``report``, from whichever pod, so Optuna's own trial is closed here.
        self._study.tell(suggestion, state=self._optuna.trial.TrialState.FAIL)
        return dict(suggestion.params)

    def report(self, trial: RunTrial) -> None:
        if trial.objective is None:
            return  # Optuna cannot learn from a trial without an objective
        self._study.add_trial(
            self._optuna.trial.create_trial(
                params=msgspec.json.decode(trial.params),
                distributions=self._space,
                value=trial.objective,
                constraints={"feasible": 0.0 if trial.feasible else 1.0},
            )
        )


def search_for(sweep: Sweep, window: int) -> Search:
    """The search method of a sweep, over one window."""
    return TpeSearch(sweep, window) if sweep.search == "tpe" else FixedSearch(sweep)


def _distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.from_ is None or axis.to is None:
        return CategoricalDistribution(axis_points(axis))
    if axis.step is None:
        return FloatDistribution(axis.from_, axis.to)
    last = axis_points(axis)[-1]  # Optuna requires the end to be one of the steps
    if is_integer_range(axis):
        return IntDistribution(int(axis.from_), int(last), step=int(axis.step))
    return FloatDistribution(axis.from_, float(last), step=axis.step)
