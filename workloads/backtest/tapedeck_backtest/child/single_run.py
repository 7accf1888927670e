"""One run of the strategy: over a stored range, whose bars are all here, or over a stream as its bars arrive."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import Any

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.history import history_steps
from tapedeck_backtest.bars.resample import StreamResampler, feed_names, resample
from tapedeck_backtest.bias_checks.checks import fail_if_biased
from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.child.market import StreamBroken, limits_of, read_series, read_steps, sessions_of
from tapedeck_backtest.child.strategy_run import StrategyRun
from tapedeck_backtest.engine.analyzers import add_analyzer, quiet_until
from tapedeck_backtest.engine.cerebro import BacktestEngine, batch_engine, stream_engine
from tapedeck_backtest.engine.observers import analyzer_classes, observer_classes
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import Ended, Outcome, PathChosen, RunMarket
from tapedeck_backtest.report.analyses import analyses_of
from tapedeck_backtest.report.equity_curve import stride
from tapedeck_backtest.report.nan_guard import NOT_A_NUMBER
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.vector.run import run_vectorised, vector_series
from tapedeck_common.records import ResultRecord


def run_stored(run: StrategyRun, market: RunMarket) -> None:
    """Run over a stored range. Raises RunFailed."""
    series = read_series(run.channel, market)
    traded = {symbol: columns.rows(slice(run.spec.data.warmup_bars, None)) for symbol, columns in series.items()}
    steps = sum(len(columns.event) for columns in traded.values())
    vectorised = _vectorised(run, market, traded, stride(steps))
    run.channel.send(PathChosen("engine" if vectorised is None else "vectorised"))
    if run.spec.checks:
        check(run, market, traded)
    if vectorised is not None:
        results, records = vectorised
        run.reporter.begin(results)
        results.emit = run.reporter.emit
        for record in records:
            results.emit(record)
        results.flush()
    else:
        sessions, strategy = sessions_of(market), _traded(run, market)
        feeds = resample(series, market.interval, run.spec.data.intervals, sessions, limits_of(market))
        engine = batch_engine(run.spec, strategy, run.params, feeds, market.interval, sessions)
        # A stream's points are few, or its bars arrive slowly: only a stored range is thinned out.
        _run_engine(run, market, engine, stride(steps // len(traded)))
    _end(run)


def run_stream(run: StrategyRun, market: RunMarket) -> None:
    """Run over a stream, after its warm-up history. Raises RunFailed."""
    intervals, sessions = run.spec.data.intervals, sessions_of(market)
    history = history_steps(read_series(run.channel, market), market.exchange, market.interval) if market.rows else ()
    fine = chain(history, read_steps(run.channel, market, run.reporter.idle))
    steps = StreamResampler(market.symbols, market.interval, intervals, sessions, lambda: limits_of(market)).steps(fine)
    feeds = feed_names(market.symbols, intervals)
    strategy = _traded(run, market)
    engine = stream_engine(run.spec, strategy, run.params, feeds, market.interval, steps, sessions)
    with suppress(StreamBroken):
        _run_engine(run, market, engine, 1)
    _end(run)


def check(run: StrategyRun, market: RunMarket, series: dict[str, BarArrays]) -> None:
    """Make the spec's bias checks. Raises RunFailed (LookAhead, StartUp)."""
    with run.guard.strategy_code():
        rerun = StrategyRerun.over(
            run.spec, run.strategy, run.params, series, market.interval, sessions_of(market), run.guard.heartbeat
        )
        fail_if_biased(rerun, run.spec.checks)


def _traded(run: StrategyRun, market: RunMarket) -> type[Any]:
    return quiet_until(run.strategy, market.begins) if market.begins else run.strategy


def _vectorised(
    run: StrategyRun, market: RunMarket, series: dict[str, BarArrays], every: int
) -> tuple[Results, list[ResultRecord]] | None:
    """The results of a vectorised run, and its records to send later; None if the run needs the engine."""
    vectorised = vector_series(run.spec, run.strategy, series)
    if vectorised is None:
        return None
    records: list[ResultRecord] = []
    results = run.reporter.new_results(run.spec, market.interval, every)
    results.emit = records.append
    (symbol,) = series
    complete = run_vectorised(run.spec, run.strategy, run.params, symbol, vectorised, results)
    return (results, records) if complete else None


def _run_engine(run: StrategyRun, market: RunMarket, engine: BacktestEngine, every: int) -> None:
    results = run.reporter.new_results(run.spec, market.interval, every)
    add_analyzer(engine, results, market.begins)
    run.reporter.begin(results, engine, run.spec.data.warmup_bars)
    try:
        with run.guard.strategy_code():
            strategy = engine.run()[0]
            _keep_analyses(run, strategy, results)
    except RunFailed as failure:
        if failure.reason != NOT_A_NUMBER:
            results.flush()
        raise
    results.flush()


def _keep_analyses(run: StrategyRun, strategy: Any, results: Results) -> None:
    observers, analyzers = (of(run.spec, type(strategy)) for of in (observer_classes, analyzer_classes))
    results.analyses, notes = analyses_of(strategy, observers, analyzers, results.ts)
    for note in notes:
        run.reporter.note(note)


def _end(run: StrategyRun) -> None:
    run.channel.send(Ended(run.reporter.outcome() or Outcome()))
