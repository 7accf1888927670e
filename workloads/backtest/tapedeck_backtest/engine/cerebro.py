"""The engine: a Cerebro with two loops of its own, one over a stored range and one over a stream.

Both follow the same rules: the spec's broker settings, observers only where the spec lists them or the strategy reads
them, and an order fills on a later bar of its symbol than the one it was made on (in ``next_open``: on that one). Stock
Backtrader with the same settings and one PandasData per symbol gives the same trades; README.md here says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import backtrader as bt
import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays, TimeStep, symbol_of
from tapedeck_backtest.bars.datetimes import Sessions, session_of
from tapedeck_backtest.engine.broker import add_sizer, make_broker
from tapedeck_backtest.engine.bulk_indicators import use_bulk_indicators
from tapedeck_backtest.engine.fast_step import StepFunction, step_function
from tapedeck_backtest.engine.feeds import BatchFeed, StreamFeed, feed_params, is_dated_by_finer_bars
from tapedeck_backtest.engine.observers import add_observers, analyzer_classes, observer_classes, reads_observers
from tapedeck_crds.backtest import BacktestSpec

FIRST_FEED = 0  # whose time zone is the strategy's


class BacktestEngine(bt.Cerebro):  # type: ignore[misc]
    """A Cerebro for feeds that need no filters: it does not poll each feed for the time of its next bar.

    ``event`` is the event time of the current step (ms UTC); 0 before the first.
    """

    steps: Iterable[TimeStep] = ()
    event: int = 0

    def _runonce(self, runstrats: list[Any]) -> None:
        step_functions = [_prepare(strategy) for strategy in runstrats]
        for event, days, feeds in _batch_steps(self.datas):
            self.event = event
            for feed in feeds:
                feed.advance()
            self._match_orders(runstrats, days)
            for step in step_functions:
                step(days)
            if self._event_stop:
                return

    def _runnext(self, runstrats: list[Any]) -> None:
        days = 0.0
        for event, bars in self.steps:
            self.event = event
            for index, bar in bars:
                self.datas[index].append(bar, event)
                days = max(days, self.datas[index].datetime[0])
            self._match_orders(runstrats, days)
            for strategy in runstrats:
                strategy._next()
            if self._event_stop:
                return

    def _match_orders(self, runstrats: list[Any], days: float) -> None:
        """What happens between the new bars and the strategy's step: timers, next_open, and the broker's matching."""
        if self._timerscheat:
            self._check_timers(runstrats, days, cheat=True)
        if self.p.cheat_on_open:
            for strategy in runstrats:
                strategy._next_open()
        self._broker.next()
        if self._broker.notifs:
            self._deliver_notifications()
        if self._timers:
            self._check_timers(runstrats, days, cheat=False)

    def _deliver_notifications(self) -> None:
        """What Backtrader's ``_brokernotify`` does after the broker's step."""
        while (order := self._broker.get_notification()) is not None:
            owner = self.runningstrats[0] if order.owner is None else order.owner
            owner._addnotification(order, quicknotify=self.p.quicknotify)


def _prepare(strategy: Any) -> StepFunction:
    """Compute the strategy's indicators over the whole range, and return its step function.

    If a feed has fewer bars than the minimum period, computing the whole range raises in Backtrader; bar by bar the
    indicator merely has no value. Such a strategy uses Backtrader's bar-by-bar step.
    """
    if any(data.buflen() < needed for data, needed in zip(strategy.datas, strategy._minperiods, strict=True)):
        return lambda _days: strategy._next()
    use_bulk_indicators(strategy)
    strategy._once()
    strategy.reset()
    return step_function(strategy)


def _batch_steps(feeds: Sequence[Any]) -> Iterator[tuple[int, float, Sequence[Any]]]:
    """Each event time (ms UTC) at which a feed has a bar, the strategy's datetime, and the feeds that have a bar."""
    if len(feeds) == 1:
        for event, days in zip(feeds[0].events, feeds[0].lines.datetime.array, strict=True):
            yield event, days, feeds
        return
    events_by_feed = [np.asarray(feed.events) for feed in feeds]
    events = np.unique(np.concatenate(events_by_feed))
    has_bar, latest = np.zeros((len(events), len(feeds)), dtype=bool), np.zeros(len(events))
    for index, (feed, feed_events) in enumerate(zip(feeds, events_by_feed, strict=True)):
        rows = np.searchsorted(events, feed_events)
        has_bar[rows, index] = True
        latest[rows] = np.maximum(latest[rows], np.array(feed.lines.datetime.array))
    datetimes = np.maximum.accumulate(latest)
    for event, days, row in zip(events.tolist(), datetimes.tolist(), has_bar, strict=True):
        yield event, days, [feeds[index] for index in np.flatnonzero(row).tolist()]


def _new_engine(spec: BacktestSpec, strategy: type[Any]) -> BacktestEngine:
    return BacktestEngine(stdstats=reads_observers(strategy), cheat_on_open=spec.broker.cheat_on_open, tz=FIRST_FEED)


def _configure(
    engine: BacktestEngine, spec: BacktestSpec, strategy: type[Any], params: dict[str, Any]
) -> BacktestEngine:
    engine.setbroker(make_broker(spec.broker))
    if spec.sizer is not None:
        add_sizer(engine, spec.sizer)
    add_observers(engine, observer_classes(spec, strategy))
    for analyzer in analyzer_classes(spec, strategy):
        engine.addanalyzer(analyzer)
    engine.addstrategy(strategy, **params)
    return engine


def batch_engine(
    spec: BacktestSpec,
    strategy: type[Any],
    params: dict[str, Any],
    series: dict[str, BarArrays],
    interval: str,
    sessions: Sessions,
) -> BacktestEngine:
    """An engine over whole series, whose indicators are computed at once. The strategy's feeds are in this order."""
    engine = _new_engine(spec, strategy)
    for name, columns in series.items():
        finer = series[symbol_of(name)] if is_dated_by_finer_bars(name) else None
        params_of_feed = feed_params(name, interval, session_of(sessions, name))
        engine.adddata(BatchFeed(columns=columns, finer=finer, **params_of_feed))
    return _configure(engine, spec, strategy, params)


def stream_engine(
    spec: BacktestSpec,
    strategy: type[Any],
    params: dict[str, Any],
    feeds: Sequence[str],
    interval: str,
    steps: Iterable[TimeStep],
    sessions: Sessions,
) -> BacktestEngine:
    """An engine that consumes ``steps``, waiting for each. ``feeds`` names the feeds in the strategy's order."""
    engine = _new_engine(spec, strategy)
    for name in feeds:
        finer = engine.datasbyname[symbol_of(name)] if is_dated_by_finer_bars(name) else None
        engine.adddata(StreamFeed(finer=finer, **feed_params(name, interval, session_of(sessions, name))))
    engine.steps = steps
    return _configure(engine, spec, strategy, params)
