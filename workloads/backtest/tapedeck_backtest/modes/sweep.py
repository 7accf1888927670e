"""A shard of a sweep: the range's bars are read once, and every trial runs over them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from tapedeck_backtest.bars.history import prepend_history
from tapedeck_backtest.bars.resample import check_intervals, check_resampled, first_open, outside_note
from tapedeck_backtest.report.equity_curve import stride
from tapedeck_backtest.report.origin import origin_of_store
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.execution import new_results
from tapedeck_backtest.sources.stored_bars import read_history, read_range, stored_limits
from tapedeck_backtest.strategy_loader import checked_params, param_notes
from tapedeck_backtest.sweep.completed_trials import completed_trials
from tapedeck_backtest.sweep.outcome import (
    best_of_search,
    out_of_sample,
    trial_counts,
    why_none_is_best,
    why_trials_are_not_ranked,
    why_windows_do_not_trade,
)
from tapedeck_backtest.sweep.shard import ShardRunner, shard_plan, total_trials
from tapedeck_backtest.sweep.trial import TrialRunner
from tapedeck_backtest.sweep.windows import SweepWindow, sweep_windows
from tapedeck_common.records import RunTrial
from tapedeck_crds.backtest import ParamValue
from tapedeck_crds.base import StoreRange
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.sweep import Sweep

RECORDED_SECONDS = 120.0  # how long the recorder may take to store this shard's last trials


def run(context: RunContext, strategy: type[Any], sweep: Sweep, range_: StoreRange) -> None:
    """Run the shard's trials. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
    settings, connections, progress = context.settings, context.connections, context.progress
    check_intervals(range_.interval, context.spec.data.intervals)
    series = read_range(connections, range_)
    sessions = context.find_sessions(range_.exchange, list(series))
    if (note := outside_note(series, range_.interval, sessions)) is not None:
        context.progress.note(note)
    spec, interval = context.spec, range_.interval
    warmup = spec.data.warmup_bars
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
    all_trials = _all_trials(context, progress.shard, total)
    if all_trials is not None:
        _publish_outcome(context, trials, windows, all_trials)


def _all_trials(context: RunContext, shard: ShardRunner, total: int) -> list[RunTrial] | None:
    """The trials of all shards; None while another shard has not completed its own, which then publishes the outcome.

    Each shard looks after its own trials are stored, so the last to look finds all of them. Raises Unavailable.
    """
    if len(shard.completed) == total:
        return list(shard.completed.values())
    deadline = time.monotonic() + RECORDED_SECONDS
    while True:
        stored = completed_trials(context.connections, context.progress.run_id)
        if shard.completed.keys() <= {(trial.window, trial.trial) for trial in stored}:
            return stored if len(stored) >= total else None
        if time.monotonic() > deadline:
            raise Unavailable(f"recorder: the trials of this shard were not stored within {RECORDED_SECONDS:g} s")
        context.guard.heartbeat()
        time.sleep(1.0)


def _publish_outcome(
    context: RunContext, trials: TrialRunner, windows: list[SweepWindow], all_trials: list[RunTrial]
) -> None:
    """Publish the sweep's result and its end. A repetition publishes the same. Raises Unavailable and RunFailed."""
    progress, sweep = context.progress, trials.sweep
    if sweep.walk_forward is None:
        best = best_of_search(sweep, all_trials)
        progress.figures = best | trial_counts(all_trials)
        if not best:
            progress.note(why_none_is_best(sweep, all_trials))
    else:
        steps = sum(len(columns.event) for columns in trials.series.values())
        results = new_results(context, trials.interval, stride(steps))
        with context.strategy_code():
            counts = out_of_sample(trials, windows, all_trials, results)
        results.flush()
        progress.results, progress.figures = results, counts.figures() | trial_counts(all_trials)
        progress.note(str(counts))
        if (reason := why_windows_do_not_trade(sweep, all_trials)) is not None:
            progress.note(reason)
    if (unranked := why_trials_are_not_ranked(sweep, all_trials)) is not None:
        progress.note(unranked)
    context.publish_ended("complete", progress.end_message())


def _axis_notes(strategy: type[Any], sweep: Sweep) -> list[str]:
    """The first note of each axis about its values. Raises RunFailed (BadParams)."""
    notes = []
    for axis in sweep.params:
        values: list[ParamValue] = [*(axis.values or ()), *(axis.texts or ())]
        values += [bound for bound in (axis.from_, axis.to) if bound is not None]
        checked = [checked_params(strategy, {axis.name: value}, "sweep.params") for value in values]
        notes += [note for params in checked for note in param_notes(strategy, params, "sweep.params")][:1]
    return notes
