"""A run over a stored range, whose bars are read at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import msgspec

from tapedeck_backtest.bars.history import prepend_history
from tapedeck_backtest.bars.resample import check_intervals, first_open, outside_note
from tapedeck_backtest.protocol.messages import Outcome
from tapedeck_backtest.report.origin import origin_of_store
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.giving import give_series
from tapedeck_backtest.run.market import market_of
from tapedeck_backtest.sources.stored_bars import read_history, read_range, stored_limits
from tapedeck_crds.base import StoreRange
from tapedeck_crds.intervals import BAR_LENGTHS


def run(context: RunContext, range_: StoreRange) -> Outcome:
    """Run the strategy over the range. Raises RunFailed, StrategyKilled, Interrupted, Unavailable and psycopg.Error."""
    data, interval = context.spec.data, range_.interval
    check_intervals(interval, data.intervals)
    series = read_range(context.connections, range_)
    symbols = list(series)
    sessions = context.find_sessions(range_.exchange, symbols)
    if (note := outside_note(series, interval, sessions)) is not None:
        context.progress.note(note)
    context.progress.total = sum(len(columns.event) for columns in series.values())
    context.publish_started(range_.exchange, symbols, interval)
    origin = origin_of_store(context.settings, series)

    def publish_origin(path: Literal["engine", "vectorised"]) -> None:
        context.publisher.publish(msgspec.structs.replace(origin, path=path))

    context.notices.on_path = publish_origin
    begins, limits = 0, stored_limits(range_, series)
    if data.warmup_bars:
        begins = min(int(columns.event[0]) for columns in series.values())
        first = BAR_LENGTHS[interval].open_of(begins - 1)
        history = read_history(context.connections, range_.exchange, symbols, interval, first, data.warmup_bars)
        series = prepend_history(history, series)
        limits = replace(limits, start=first_open(series, interval))
    market = market_of(context.spec, range_.exchange, symbols, interval, sessions, limits, series, begins)
    context.progress.state = "running"
    give_series(context, market, series)
    return context.ended()
