"""A shard of a sweep: the range's bars are read once, and every trial runs over them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from tapedeck_backtest.bars.history import prepend_history
from tapedeck_backtest.bars.resample import check_intervals, first_open, outside_note
from tapedeck_backtest.protocol.messages import AccountTask, Ended, Outcome, TrialDone, TrialTask, WindowTask
from tapedeck_backtest.report.equity_curve import stride
from tapedeck_backtest.report.origin import origin_of_store
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.giving import give_series
from tapedeck_backtest.run.market import market_of
from tapedeck_backtest.run.record_check import checked_figures
from tapedeck_backtest.sources.stored_bars import read_history, read_range, stored_limits
from tapedeck_backtest.supervisor.strategy_process import StrategyProcess
from tapedeck_backtest.sweep.completed_trials import completed_trials
from tapedeck_backtest.sweep.outcome import (
    WindowCounts,
    best_of_search,
    trial_counts,
    why_none_is_best,
    why_trials_are_not_ranked,
    why_windows_do_not_trade,
    window_tests,
)
from tapedeck_backtest.sweep.search_space import Params
from tapedeck_backtest.sweep.shard import ShardRunner, shard_plan, total_trials
from tapedeck_backtest.sweep.trial_record import trial_record
from tapedeck_backtest.sweep.windows import SweepWindow, sweep_windows
from tapedeck_backtest.text import storable
from tapedeck_common.records import OUT_OF_SAMPLE_TRIAL, RunTrial
from tapedeck_crds.base import StoreRange
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.sweep import Sweep

RECORDED_SECONDS = 120.0  # how long the recorder may take to store this shard's last trials


@dataclass(frozen=True)
class ProcessTrials:
    """Has the strategy's process run trials. It says what came out; which trial that was is known here."""

    run_id: str
    sweep: Sweep
    process: StrategyProcess

    def run(self, window: int, number: int, params: Params, start: int, end: int) -> RunTrial:
        """Run a trial over opens in [start, end), ms UTC. Raises RunFailed, StrategyKilled and Interrupted."""
        self.process.send(TrialTask(params, start, end))
        return self._record(window, number, params, (start, end))

    def run_test(self, window: SweepWindow, params: Params) -> RunTrial:
        """Trade a window out-of-sample. Raises RunFailed, StrategyKilled and Interrupted."""
        self.process.send(WindowTask(window, params))
        return self._record(window.number, OUT_OF_SAMPLE_TRIAL, params, (window.train_to, window.test_to))

    def _record(self, window: int, number: int, params: Params, span: tuple[int, int]) -> RunTrial:
        done = self.process.answer(TrialDone)
        metrics = checked_figures(done.metrics)
        message = storable(done.message)
        return trial_record(self.run_id, self.sweep, window, number, params, span, metrics, done.trades_hash, message)


def run(context: RunContext, sweep: Sweep, range_: StoreRange) -> None:
    """Run the shard's trials. Raises RunFailed, StrategyKilled, Interrupted, Unavailable and psycopg.Error."""
    settings, connections, progress = context.settings, context.connections, context.progress
    check_intervals(range_.interval, context.spec.data.intervals)
    series = read_range(connections, range_)
    symbols, interval, warmup = list(series), range_.interval, context.spec.data.warmup_bars
    sessions = context.find_sessions(range_.exchange, symbols)
    if (note := outside_note(series, interval, sessions)) is not None:
        progress.note(note)
    first = BAR_LENGTHS[interval].open_of(min(int(columns.event[0]) for columns in series.values()) - 1)
    windows = sweep_windows(sweep, first, max(int(columns.event[-1]) for columns in series.values()))
    total = total_trials(sweep, windows)
    context.publish_started(range_.exchange, symbols, interval, total)
    context.publisher.publish(origin_of_store(settings, series))
    limits = stored_limits(range_, series)
    if warmup:
        history = read_history(connections, range_.exchange, symbols, interval, first, warmup)
        series = prepend_history(history, series)
        limits = replace(limits, start=first_open(series, interval))
    market = market_of(context.spec, range_.exchange, symbols, interval, sessions, limits, series)
    give_series(context, market, series)
    context.process.answer(Ended)
    trials = ProcessTrials(progress.run_id, sweep, context.process)
    progress.shard = ShardRunner(
        trials,
        shard_plan(sweep, windows, settings.shard),
        lambda: completed_trials(connections, progress.run_id),
        context.publisher.publish,
        total,
    )
    progress.state = "running"
    progress.shard.run()
    context.publisher.flush()
    all_trials = _all_trials(context, progress.shard, total)
    if all_trials is not None:
        _publish_outcome(context, sweep, windows, all_trials, sum(market.rows))


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
        context.process.idle()
        time.sleep(1.0)


def _publish_outcome(
    context: RunContext, sweep: Sweep, windows: list[SweepWindow], all_trials: list[RunTrial], steps: int
) -> None:
    """Publish the sweep's result and its end. A repetition publishes the same. Raises Unavailable and RunFailed."""
    progress, outcome = context.progress, Outcome()
    if sweep.walk_forward is None:
        best = best_of_search(sweep, all_trials)
        progress.figures = best | trial_counts(all_trials)
        if not best:
            progress.note(why_none_is_best(sweep, all_trials))
    else:
        context.process.send(AccountTask(window_tests(windows, all_trials), stride(steps)))
        outcome = context.ended()
        counts = WindowCounts.of(outcome.figures)
        progress.figures = counts.figures() | trial_counts(all_trials)
        progress.note(str(counts))
        if (reason := why_windows_do_not_trade(sweep, all_trials)) is not None:
            progress.note(reason)
    if (unranked := why_trials_are_not_ranked(sweep, all_trials)) is not None:
        progress.note(unranked)
    context.publish_ended("complete", progress.end_message(), outcome)
