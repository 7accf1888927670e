"""A shard of a sweep: the range's bars are read once, its trials play them again and again."""

from __future__ import annotations

from typing import Any

from tapedeck_backtest.bars.resample import check_coarser, check_intervals
from tapedeck_backtest.engine.warmup import joined
from tapedeck_backtest.report.origin import origin_of_store
from tapedeck_backtest.run.session import Session
from tapedeck_backtest.sources import stored_bars
from tapedeck_backtest.sweep.completed_trials import known_trials
from tapedeck_backtest.sweep.shard import Trials, deal, total
from tapedeck_backtest.sweep.trial import Lab
from tapedeck_backtest.sweep.windows import windows
from tapedeck_crds.base import INTERVAL_MS, StoreRange
from tapedeck_crds.sweep import Sweep


def run(session: Session, strategy: type[Any], sweep: Sweep, wanted: StoreRange) -> None:
    """Make the shard's trials. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
    check_intervals(wanted.interval, session.spec.data.intervals)
    series = stored_bars.read(session.connections, wanted)
    first = min(int(columns.event[0]) for columns in series.values()) - INTERVAL_MS[wanted.interval]
    rolling = windows(sweep, first, max(int(columns.event[-1]) for columns in series.values()))
    session.announce(wanted.exchange, list(series), wanted.interval, total(sweep, rolling))
    session.send(origin_of_store(session.settings, series))
    if warmup := session.spec.data.warmup_bars:
        past = stored_bars.history(session.connections, wanted.exchange, list(series), wanted.interval, first, warmup)
        series = joined(past, series)
    check_coarser(series, wanted.interval, session.spec.data.intervals)  # a window may lack them, not the whole range
    lab = Lab(session.run_id, session.spec, sweep, strategy, series, wanted.interval, session.pulse)
    session.trials = Trials(
        lab,
        deal(sweep, rolling, session.settings.shard),
        lambda: known_trials(session.connections, session.run_id),
        session.send,
        total(sweep, rolling),
    )
    session.state = "running"
    with session.foreign():
        session.trials.run()
    session.flush()
