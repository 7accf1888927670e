"""The strategy of a pod: loaded, with its params checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tapedeck_backtest.child.channel import PodChannel
from tapedeck_backtest.child.market import spec_of
from tapedeck_backtest.child.reporter import RunReporter
from tapedeck_backtest.engine.observers import analyzer_classes, observer_classes
from tapedeck_backtest.protocol.messages import RunMarket
from tapedeck_backtest.sandbox.error_boundary import StrategyGuard
from tapedeck_backtest.strategy_loader import checked_params, load_strategy, open_hook_note, param_notes
from tapedeck_crds.backtest import BacktestSpec, ParamValue
from tapedeck_crds.sweep import Sweep


@dataclass(frozen=True)
class StrategyRun:
    """What all modes of a run need. ``spec`` has the session of the run's market."""

    spec: BacktestSpec
    strategy: type[Any]
    params: dict[str, ParamValue]
    channel: PodChannel
    guard: StrategyGuard
    reporter: RunReporter

    def over(self, market: RunMarket) -> StrategyRun:
        """The run over a market."""
        return replace(self, spec=spec_of(self.spec, market))


def load_run(spec: BacktestSpec, files: Path, channel: PodChannel, guard: StrategyGuard) -> StrategyRun:
    """Load the strategy, and note what is odd about it. Raises RunFailed."""
    reporter = RunReporter(channel, guard)
    with guard.strategy_code():
        strategy = load_strategy(spec.strategy, files)
        observer_classes(spec, strategy)  # before any bar is read
        analyzer_classes(spec, strategy)
    params = checked_params(strategy, spec.strategy.params)
    open_hook = open_hook_note(strategy, spec.broker.cheat_on_open)
    notes = [*param_notes(strategy, params), *filter(None, (open_hook,))]
    if spec.sweep is not None:
        notes += _axis_notes(strategy, spec.sweep)
    for note in notes:
        reporter.note(note)
    return StrategyRun(spec, strategy, params, channel, guard, reporter)


def _axis_notes(strategy: type[Any], sweep: Sweep) -> list[str]:
    """The first note of each axis about its values. Raises RunFailed (BadParams)."""
    notes = []
    for axis in sweep.params:
        values: list[ParamValue] = [*(axis.values or ()), *(axis.texts or ())]
        values += [bound for bound in (axis.from_, axis.to) if bound is not None]
        checked = [checked_params(strategy, {axis.name: value}, "sweep.params") for value in values]
        notes += [note for params in checked for note in param_notes(strategy, params, "sweep.params")][:1]
    return notes
