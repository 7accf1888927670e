"""What to try next, from the trials that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from tapedeck_backtest.sweep.search_space import Params, grid_params, points, random_params, whole
from tapedeck_common.records import RunTrial
from tapedeck_crds.sweep import Axis, Sweep

if TYPE_CHECKING:
    import optuna


class Search(Protocol):
    """Params for a trial by its number; ``tell`` what became of trials, in any order, each once."""

    def ask(self, number: int) -> Params: ...

    def tell(self, trial: RunTrial) -> None: ...


class Fixed:
    """A grid or a random search: nothing is learnt."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def ask(self, number: int) -> Params:
        if self._sweep.search == "grid":
            return grid_params(self._sweep.params, number)
        return random_params(self._sweep.params, self._sweep.seed, number)

    def tell(self, trial: RunTrial) -> None:
        pass


class Parzen:
    """Optuna's TPE over one window. Pods share what they learnt by the store, not by Optuna's own database."""

    def __init__(self, sweep: Sweep, window: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._seed = sweep.seed + window
        self._study = optuna.create_study(direction=sweep.objective.direction)
        self._space = {axis.name: _distribution(axis) for axis in sweep.params}

    def ask(self, number: int) -> Params:
        """The seed goes with the number: a trial made again with the same knowledge is the same."""
        self._study.sampler = self._optuna.samplers.TPESampler(seed=(self._seed * 1_000_003 + number) % 2**32)
        asked = self._study.ask(self._space)
        # What became of it comes by ``tell``, from whichever pod: here it is over.
        self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
        return dict(asked.params)

    def tell(self, trial: RunTrial) -> None:
        if trial.objective is None:
            return  # there is nothing to learn from a trial without a figure
        self._study.add_trial(
            self._optuna.trial.create_trial(
                params=msgspec.json.decode(trial.params),
                distributions=self._space,
                value=trial.objective,
                constraints={"feasible": 0.0 if trial.feasible else 1.0},
            )
        )


def search_for(sweep: Sweep, window: int) -> Search:
    """The search that a sweep asks for, over one window."""
    return Parzen(sweep, window) if sweep.search == "tpe" else Fixed(sweep)


def _distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.from_ is None or axis.to is None:
        return CategoricalDistribution(points(axis))
    if axis.step is None:
        return FloatDistribution(axis.from_, axis.to)
    last = points(axis)[-1]  # Optuna wants the end to be one of the steps
    if whole(axis):
        return IntDistribution(int(axis.from_), int(last), step=int(axis.step))
    return FloatDistribution(axis.from_, float(last), step=axis.step)
