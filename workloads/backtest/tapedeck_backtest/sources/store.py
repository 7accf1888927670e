"""A range of the store: all bars at once."""

from __future__ import annotations

from typing import Any

from tapedeck_backtest import engine, stored
from tapedeck_backtest.honesty.check import refuse_dishonest
from tapedeck_backtest.honesty.lab import Lab
from tapedeck_backtest.origin import origin_of_store
from tapedeck_backtest.resample import check_intervals, with_coarser
from tapedeck_backtest.session import Session
from tapedeck_backtest.warmup import joined, quiet_until
from tapedeck_crds.base import INTERVAL_MS, StoreRange


def run(session: Session, strategy: type[Any], params: dict[str, Any], wanted: StoreRange) -> None:
    """Play the range. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
    data, connections = session.spec.data, session.connections
    check_intervals(wanted.interval, data.intervals)
    series = stored.read(connections, wanted)
    session.total = sum(len(columns.event) for columns in series.values())
    session.announce(wanted.exchange, list(series), wanted.interval)
    session.send(origin_of_store(session.settings, series))
    if session.spec.checks:
        with session.foreign():
            lab = Lab.over(session.spec, strategy, params, series, wanted.interval, session.pulse)
            refuse_dishonest(lab, session.spec.checks)
    begins = 0
    if data.warmup_bars:
        begins = min(int(columns.event[0]) for columns in series.values())
        first = begins - INTERVAL_MS[wanted.interval]
        past = stored.history(connections, wanted.exchange, list(series), wanted.interval, first, data.warmup_bars)
        series = joined(past, series)
        strategy = quiet_until(strategy, begins)
    series = with_coarser(series, wanted.interval, data.intervals)
    session.play(engine.batch(session.spec, strategy, params, series, wanted.interval), wanted.interval, begins)
