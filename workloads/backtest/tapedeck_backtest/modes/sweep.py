"""A shard of a sweep: the range's bars are read once, and every trial runs over them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tapedeck_backtest.bars.datetimes import same_session
from tapedeck_backtest.bars.history import prepend_history
from tapedeck_backtest.bars.resample import check_intervals, check_resampled, first_open
from tapedeck_backtest.report.origin import origin_of_store
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.sources.stored_bars import read_history, read_range, stored_limits
from tapedeck_backtest.strategy_loader import checked_params, param_notes
from tapedeck_backtest.sweep.completed_trials import completed_trials
from tapedeck_backtest.sweep.shard import ShardRunner, shard_plan, total_trials
from tapedeck_backtest.sweep.trial import TrialRunner
from tapedeck_backtest.sweep.windows import sweep_windows
from tapedeck_crds.backtest import ParamValue
from tapedeck_crds.base import StoreRange
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.sweep import Sweep


def run(context: RunContext, strategy: type[Any], sweep: Sweep, range_: StoreRange) -> None:
    """Run the shard's trials. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
    spec, settings, connections, progress = context.spec, context.settings, context.connections, context.progress
    interval, warmup = range_.interval, spec.data.warmup_bars
    check_intervals(interval, spec.data.intervals)
    series = read_range(connections, range_)
    first = BAR_LENGTHS[interval].open_of(min(int(columns.event[0]) for columns in series.values()) - 1)
    for note in _axis_notes(strategy, sweep):
        progress.note(note)
    windows = sweep_windows(sweep, first, max(int(columns.event[-1]) for columns in series.values()))
    total = total_trials(sweep, windows)
    context.publish_started(range_.exchange, list(series), interval, total)
    context.publisher.publish(origin_of_store(settings, series))
    limits = stored_limits(range_, series)
    if warmup:
        history = read_history(connections, range_.exchange, list(series), interval, first, warmup)
        series = prepend_history(history, series)
        limits = replace(limits, start=first_open(series, interval))
    sessions = same_session(spec.data.session, list(series))
    # Of the whole range; a window may lack such bars.
    check_resampled(series, interval, spec.data.intervals, sessions, limits)
    trials = TrialRunner(
        progress.run_id, spec, sweep, strategy, series, interval, sessions, context.guard.heartbeat, limits
    )
    progress.shard = ShardRunner(
        trials,
        shard_plan(sweep, windows, settings.shard),
        lambda: completed_trials(connections, progress.run_id),
        context.publisher.publish,
        total,
    )
    progress.state = "running"
    with context.strategy_code():
        progress.shard.run()
    context.publisher.flush()


def _axis_notes(strategy: type[Any], sweep: Sweep) -> list[str]:
    """The first note of each axis about its values. Raises RunFailed (BadParams)."""
    notes = []
    for axis in sweep.params:
        values: list[ParamValue] = [*(axis.values or ()), *(axis.texts or ())]
        values += [bound for bound in (axis.from_, axis.to) if bound is not None]
        checked = [checked_params(strategy, {axis.name: value}, "sweep.params") for value in values]
        notes += [note for params in checked for note in param_notes(strategy, params, "sweep.params")][:1]
    return notes
