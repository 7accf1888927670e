"""The trials of a sweep, one for each task of the pod."""

from __future__ import annotations

from tapedeck_backtest.bars.resample import check_resampled
from tapedeck_backtest.child.market import limits_of, read_series, sessions_of
from tapedeck_backtest.child.strategy_run import StrategyRun
from tapedeck_backtest.protocol.messages import AccountTask, Ended, Outcome, RunMarket, TrialDone, TrialTask, WindowTask
from tapedeck_backtest.trials.out_of_sample import out_of_sample
from tapedeck_backtest.trials.trial import TrialRunner
from tapedeck_common.records import RunTrial
from tapedeck_crds.sweep import Sweep


def run_trials(run: StrategyRun, market: RunMarket, sweep: Sweep) -> None:
    """Run trials over the market until the pod closes the pipe. Raises RunFailed and PodGone."""
    series, sessions, limits = read_series(run.channel, market), sessions_of(market), limits_of(market)
    # Of the whole range; a window may lack such bars.
    check_resampled(series, market.interval, run.spec.data.intervals, sessions, limits)
    trials = TrialRunner(
        "", run.spec, sweep, run.strategy, series, market.interval, sessions, run.guard.heartbeat, limits
    )
    run.channel.send(Ended(Outcome()))
    while True:
        match task := run.channel.receive():
            case TrialTask():
                with run.guard.strategy_code():
                    trial = trials.run(0, 0, task.params, task.start, task.end)
                _send(run, trial)
            case WindowTask():
                with run.guard.strategy_code():
                    trial = trials.run_test(task.window, task.params)
                _send(run, trial)
            case AccountTask():
                _trade_account(run, market, trials, task)
            case _:
                raise TypeError(f"got {type(task).__name__}, expected a trial")


def _send(run: StrategyRun, trial: RunTrial) -> None:
    run.channel.send(TrialDone(trial.metrics, trial.trades_hash, trial.message))


def _trade_account(run: StrategyRun, market: RunMarket, trials: TrialRunner, task: AccountTask) -> None:
    results = run.reporter.new_results(run.spec, market.interval, task.every)
    run.reporter.begin(results)
    with run.guard.strategy_code():
        counts = out_of_sample(trials, task.tests, results)
    results.flush()
    outcome = run.reporter.outcome() or Outcome()
    outcome.figures.update(counts.figures())
    run.channel.send(Ended(outcome))
