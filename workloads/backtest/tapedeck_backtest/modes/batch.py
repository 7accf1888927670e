"""A range of the store: all bars at once."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tapedeck_backtest.bars.resample import check_intervals, with_coarser
from tapedeck_backtest.bias_checks.checks import refuse_dishonest
from tapedeck_backtest.bias_checks.rerun import Lab
from tapedeck_backtest.engine import cerebro
from tapedeck_backtest.engine.feeds import Columns
from tapedeck_backtest.engine.warmup import joined, quiet_until
from tapedeck_backtest.report.curve import stride
from tapedeck_backtest.report.origin import origin_of_store
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.run.session import Session
from tapedeck_backtest.sources import stored_bars
from tapedeck_backtest.vector.run import market_for, trade
from tapedeck_common.records import ResultRecord
from tapedeck_crds.base import INTERVAL_MS, StoreRange


def run(session: Session, strategy: type[Any], params: dict[str, Any], wanted: StoreRange) -> None:
    """Play the range. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
    data, connections = session.spec.data, session.connections
    check_intervals(wanted.interval, data.intervals)
    series = stored_bars.read(connections, wanted)
    session.total = sum(len(columns.event) for columns in series.values())
    session.announce(wanted.exchange, list(series), wanted.interval)
    whole = _whole(session, strategy, params, series, wanted.interval)
    path = "engine" if whole is None else "vectorised"
    session.send(replace(origin_of_store(session.settings, series), path=path))
    if session.spec.checks:
        with session.foreign():
            lab = Lab.over(session.spec, strategy, params, series, wanted.interval, session.pulse)
            refuse_dishonest(lab, session.spec.checks)
    if whole is not None:
        session.play_whole(*whole)
        return
    begins = 0
    if data.warmup_bars:
        begins = min(int(columns.event[0]) for columns in series.values())
        first = begins - INTERVAL_MS[wanted.interval]
        past = stored_bars.history(connections, wanted.exchange, list(series), wanted.interval, first, data.warmup_bars)
        series = joined(past, series)
        strategy = quiet_until(strategy, begins)
    series = with_coarser(series, wanted.interval, data.intervals)
    session.play(cerebro.batch_engine(session.spec, strategy, params, series, wanted.interval), wanted.interval, begins)


def _whole(
    session: Session, strategy: type[Any], params: dict[str, Any], series: dict[str, Columns], interval: str
) -> tuple[Results, list[ResultRecord]] | None:
    """The results over whole arrays, and the records to hand on; None where only the engine can make them."""
    market = market_for(session.spec, strategy, series)
    if market is None:
        return None
    records: list[ResultRecord] = []
    results = session.new_results(interval, stride(session.total))
    results.emit = records.append
    (symbol,) = series
    return (results, records) if trade(session.spec, strategy, params, symbol, market, results) else None
