"""Plays bars to the strategy in the engine, and publishes the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

from tapedeck_backtest.bars.arrays import TimeStep, is_resampled
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.datetimes import Sessions
from tapedeck_backtest.bars.history import history_steps
from tapedeck_backtest.bars.resample import StreamResampler, feed_names, first_open
from tapedeck_backtest.engine.analyzers import add_analyzer, quiet_until
from tapedeck_backtest.engine.cerebro import BacktestEngine, stream_engine
from tapedeck_backtest.engine.observers import analyzer_classes, observer_classes
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report.analyses import analyses_of
from tapedeck_backtest.report.equity_curve import stride
from tapedeck_backtest.report.nan_guard import NOT_A_NUMBER, checked
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.sources.stored_bars import read_history
from tapedeck_common.records import ResultRecord
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import ALWAYS_OPEN


def new_results(context: RunContext, interval: str, every: int = 1) -> Results:
    """Results of a run that starts, published as they arise; of each ``every`` steps only the extremes."""
    cash, run_id = context.spec.broker.cash, context.progress.run_id
    session = context.spec.data.session or ALWAYS_OPEN
    return Results(run_id, cash, BAR_LENGTHS[interval].ms, _emitter(context), context.guard.heartbeat, every, session)


def run_engine(context: RunContext, engine: BacktestEngine, interval: str, begins: int) -> None:
    """Run the engine to its end. ``begins`` is the event time (ms UTC) before which bars are history; 0 without.

    Raises RunFailed, Interrupted and Unavailable.
    """
    progress = context.progress
    symbols = sum(not is_resampled(data._name) for data in engine.datas)
    # A stream's points are few, or its bars arrive slowly: only a stored range is thinned out.
    every = stride(progress.total // symbols) if context.spec.data.store is not None else 1
    results = new_results(context, interval, every)
    add_analyzer(engine, results, begins)
    progress.results, progress.engine = results, engine
    if progress.state == "starting":
        progress.state = "running"
    try:
        with context.strategy_code():
            strategy = engine.run()[0]
            _keep_analyses(context, strategy, results)
    except RunFailed as failure:
        if failure.reason != NOT_A_NUMBER:
            results.flush()
        raise
    results.flush()


def _keep_analyses(context: RunContext, strategy: Any, results: Results) -> None:
    observers, analyzers = (of(context.spec, type(strategy)) for of in (observer_classes, analyzer_classes))
    results.analyses, notes = analyses_of(strategy, observers, analyzers, results.ts)
    for note in notes:
        context.progress.note(note)


def run_stream(
    context: RunContext,
    strategy: type[Any],
    params: dict[str, Any],
    steps: Iterator[TimeStep],
    exchange: str,
    symbols: list[str],
    interval: str,
    sessions: Sessions,
    limits: Callable[[], Limits],
) -> None:
    """Run the strategy over a stream, after the warm-up history of the spec.

    ``limits`` returns those of the stream once it has begun.
    Raises RunFailed, Interrupted, Unavailable and psycopg.Error.
    """
    data, begins = context.spec.data, 0
    if data.warmup_bars and (first := next(steps, None)) is not None:
        begins = first[0]
        before = BAR_LENGTHS[interval].open_of(begins - 1)
        history = read_history(context.connections, exchange, symbols, interval, before, data.warmup_bars)
        steps = chain(history_steps(history, exchange, interval), [first], steps)
        strategy = quiet_until(strategy, begins)
        start, end = first_open(history, interval), limits().end
        limits = partial(Limits, start, end)
    steps = StreamResampler(symbols, interval, data.intervals, sessions, limits).steps(steps)
    feeds = feed_names(symbols, data.intervals)
    engine = stream_engine(context.spec, strategy, params, feeds, interval, steps, sessions)
    run_engine(context, engine, interval, begins)


def publish_vectorised(context: RunContext, results: Results, records: list[ResultRecord]) -> None:
    """Publish a vectorised run: its ``records`` of fills and trades, and the equity of ``results``."""
    progress = context.progress
    progress.results, progress.state = results, "running"
    results.emit = _emitter(context)
    for record in records:
        results.emit(record)
    results.flush()


def _emitter(context: RunContext) -> Callable[[ResultRecord], None]:
    """Publishes each record. Raises RunFailed (NotANumber) and Unavailable."""

    def emit(record: ResultRecord) -> None:
        context.publisher.publish(checked(record))

    return emit
