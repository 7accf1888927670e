"""A run over a stored range, whose bars are read at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.history import prepend_history
from tapedeck_backtest.bars.resample import check_intervals, first_open, outside_note, resample
from tapedeck_backtest.bias_checks.checks import fail_if_biased
from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.engine.analyzers import quiet_until
from tapedeck_backtest.engine.cerebro import batch_engine
from tapedeck_backtest.report.equity_curve import stride
from tapedeck_backtest.report.origin import origin_of_store
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.execution import new_results, publish_vectorised, run_engine
from tapedeck_backtest.sources.stored_bars import read_history, read_range, stored_limits
from tapedeck_backtest.vector.run import run_vectorised, vector_series
from tapedeck_common.records import ResultRecord
from tapedeck_crds.base import StoreRange
from tapedeck_crds.intervals import BAR_LENGTHS


def run(context: RunContext, strategy: type[Any], params: dict[str, Any], range_: StoreRange) -> None:
    """Run the strategy over the range. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
    data, interval = context.spec.data, range_.interval
    check_intervals(interval, data.intervals)
    series = read_range(context.connections, range_)
    sessions = context.find_sessions(range_.exchange, list(series))
    if (note := outside_note(series, range_.interval, sessions)) is not None:
        context.progress.note(note)
    context.progress.total = sum(len(columns.event) for columns in series.values())
    context.publish_started(range_.exchange, list(series), interval)
    vectorised = _run_vectorised(context, strategy, params, series, interval)
    path = "engine" if vectorised is None else "vectorised"
    context.publisher.publish(msgspec.structs.replace(origin_of_store(context.settings, series), path=path))
    if context.spec.checks:
        with context.strategy_code():
            rerun = StrategyRerun.over(
                context.spec, strategy, params, series, interval, sessions, context.guard.heartbeat
            )
            fail_if_biased(rerun, context.spec.checks)
    if vectorised is not None:
        publish_vectorised(context, *vectorised)
        return
    begins, limits = 0, stored_limits(range_, series)
    if data.warmup_bars:
        begins = min(int(columns.event[0]) for columns in series.values())
        first = BAR_LENGTHS[interval].open_of(begins - 1)
        history = read_history(context.connections, range_.exchange, list(series), interval, first, data.warmup_bars)
        series = prepend_history(history, series)
        strategy = quiet_until(strategy, begins)
        limits = replace(limits, start=first_open(series, interval))
    feeds = resample(series, interval, data.intervals, sessions, limits)
    run_engine(context, batch_engine(context.spec, strategy, params, feeds, interval, sessions), interval, begins)


def _run_vectorised(
    context: RunContext, strategy: type[Any], params: dict[str, Any], series: dict[str, BarArrays], interval: str
) -> tuple[Results, list[ResultRecord]] | None:
    """The results of a vectorised run, and its records to publish later; None if the run needs the engine."""
    vectorised = vector_series(context.spec, strategy, series)
    if vectorised is None:
        return None
    records: list[ResultRecord] = []
    results = new_results(context, interval, stride(context.progress.total))
    results.emit = records.append
    (symbol,) = series
    complete = run_vectorised(context.spec, strategy, params, symbol, vectorised, results)
    return (results, records) if complete else None
