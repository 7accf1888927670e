"""The bars of a window, prepared once and used by all of its trials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.datetimes import Sessions
from tapedeck_backtest.bars.resample import resample
from tapedeck_backtest.engine.analyzers import add_analyzer, quiet_until
from tapedeck_backtest.engine.cerebro import BacktestEngine, batch_engine
from tapedeck_backtest.engine.min_period import probe, probed
from tapedeck_backtest.report.results import Results
from tapedeck_backtest.vector.run import vector_series
from tapedeck_backtest.vector.signals import VectorSeries
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.intervals import BAR_LENGTHS


@dataclass(frozen=True)
class WindowData:
    """``begins`` is the event time (ms UTC) before which bars are warm-up history; 0 without history.

    ``history`` is how many bars of each symbol there are before, at least. ``vectorised`` is None if trials need the
    engine.
    """

    series: dict[str, BarArrays]
    sessions: Sessions
    begins: int
    history: int
    vectorised: VectorSeries | None

    def engine(
        self, spec: BacktestSpec, strategy: type[Any], params: dict[str, Any], interval: str, results: Results
    ) -> BacktestEngine:
        """An engine over the bars that writes to ``results``."""
        traded = quiet_until(strategy, self.begins) if self.begins else strategy
        engine = batch_engine(spec, traded, params, self.series, interval, self.sessions)
        add_analyzer(engine, results, self.begins)
        return engine

    def min_period(self, spec: BacktestSpec, strategy: type[Any], params: dict[str, Any], interval: str) -> int:
        """How many bars the strategy's indicators need before it trades."""
        engine = batch_engine(spec, probed(strategy), params, self.series, interval, self.sessions)
        return probe(engine, BAR_LENGTHS[interval].ms)


def window_data(
    spec: BacktestSpec,
    strategy: type[Any],
    series: dict[str, BarArrays],
    interval: str,
    sessions: Sessions,
    limits: Limits,
    start: int,
    end: int,
    warmup: int,
) -> WindowData:
    """The bars with opens in [start, end) and ``warmup`` bars of each symbol before, as views of ``series``.

    A symbol without bars in the window keeps an empty feed, so that the strategy's feeds are the same in every window.
    """
    length = BAR_LENGTHS[interval]
    first, beyond = (length.close_of(length.first_open(each)) for each in (start, end))
    selected, first_events, starts, history, cut = {}, list[int](), list[int](), [warmup], False
    for symbol, columns in series.items():
        low, high = (int(i) for i in np.searchsorted(columns.event, (first, beyond)))
        if low < high:
            first_events.append(int(columns.event[low]))
            history.append(low)
        before = max(low - warmup, 0)
        selected[symbol] = columns.rows(slice(before, high))
        if 0 < before < len(columns.event):
            starts.append(length.open_of(int(columns.event[before]) - 1))
        cut = cut or high < len(columns.event)
    begins = min(first_events, default=first) if warmup else 0
    vectorised = None if warmup else vector_series(spec, strategy, selected)
    if starts:  # later than the run's
        limits = replace(limits, start=min(starts))
    if cut:
        limits = replace(limits, end=end)
    feeds = resample(selected, interval, spec.data.intervals, sessions, limits, require_bars=False)
    return WindowData(feeds, sessions, begins, min(history), vectorised)
