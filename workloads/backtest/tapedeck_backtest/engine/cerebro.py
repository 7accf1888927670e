"""Cerebro put together in one place, and its two loops.

The rules, the same for a range and for a stream: the broker is the spec's, orders fill on later bars of
their symbol than the one they were made on, no standard observers. Stock Backtrader with the same
settings and a PandasData a symbol gives the same trades.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import backtrader as bt
import numpy as np

from tapedeck_backtest.bars.clock import to_days
from tapedeck_backtest.engine.broker import add_sizer, make_broker
from tapedeck_backtest.engine.bulk_indicators import in_bulk
from tapedeck_backtest.engine.fast_step import Turn, turn_of
from tapedeck_backtest.engine.feeds import BatchFeed, Columns, StreamFeed, feed_params
from tapedeck_common.market import Bar
from tapedeck_crds.backtest import BacktestSpec

# The bars of one event time (ms UTC), each with the index of its feed.
Step: TypeAlias = tuple[int, Sequence[tuple[int, Bar]]]


class Engine(bt.Cerebro):  # type: ignore[misc]
    """Cerebro for feeds of one interval without filters: it need not ask each feed for its next time."""

    steps: Iterable[Step] = ()

    def _runonce(self, runstrats: list[Any]) -> None:
        turns = [_prepared(strategy) for strategy in runstrats]
        for days, feeds in _rounds(self.datas):
            for feed in feeds:
                feed.advance()
            self._round(runstrats, days)
            for turn in turns:
                turn(days)
            if self._event_stop:
                return

    def _runnext(self, runstrats: list[Any]) -> None:
        for event, bars in self.steps:
            days = to_days(event)
            for index, bar in bars:
                self.datas[index].push(bar, days)
            self._round(runstrats, days)
            for strategy in runstrats:
                strategy._next()
            if self._event_stop:
                return

    def _round(self, runstrats: list[Any], days: float) -> None:
        """What lies between new bars and the strategy's turn: timers and the broker."""
        if self._timerscheat:
            self._check_timers(runstrats, days, cheat=True)
        self._brokernotify()
        if self._timers:
            self._check_timers(runstrats, days, cheat=False)


def _prepared(strategy: Any) -> Turn:
    """The strategy's turn at each time, its indicators computed before, where there are bars enough for a first value.

    Where there are not, Backtrader fails to compute them at once; bar by bar it finds that there is none.
    """
    if any(data.buflen() < wanted for data, wanted in zip(strategy.datas, strategy._minperiods, strict=True)):
        return lambda _days: strategy._next()
    in_bulk(strategy)
    strategy._once()
    strategy.reset()
    return turn_of(strategy)


def _rounds(feeds: Sequence[Any]) -> Iterator[tuple[float, Sequence[Any]]]:
    """Each time at which a feed has a bar, with the feeds that do."""
    lines = [np.array(feed.lines.datetime.array) for feed in feeds]
    if len(feeds) == 1:
        for days in lines[0].tolist():
            yield days, feeds
        return
    times = np.unique(np.concatenate(lines))
    has = np.zeros((len(times), len(feeds)), dtype=bool)
    for index, line in enumerate(lines):
        has[np.searchsorted(times, line), index] = True
    for days, row in zip(times.tolist(), has, strict=True):
        yield days, [feeds[index] for index in np.flatnonzero(row).tolist()]


def _assemble(engine: Engine, spec: BacktestSpec, strategy: type[Any], params: dict[str, Any]) -> Engine:
    engine.setbroker(make_broker(spec.broker))
    if spec.sizer is not None:
        add_sizer(engine, spec.sizer)
    engine.addstrategy(strategy, **params)
    return engine


def batch_engine(
    spec: BacktestSpec, strategy: type[Any], params: dict[str, Any], series: dict[str, Columns], interval: str
) -> Engine:
    """An engine over whole series: indicators are computed at once. The order of ``series`` is the strategy's."""
    engine = Engine(stdstats=False)
    for symbol, columns in series.items():
        engine.adddata(BatchFeed(columns=columns, **feed_params(symbol, interval)))
    return _assemble(engine, spec, strategy, params)


def stream_engine(
    spec: BacktestSpec,
    strategy: type[Any],
    params: dict[str, Any],
    symbols: Sequence[str],
    interval: str,
    steps: Iterable[Step],
) -> Engine:
    """An engine that takes its bars from ``steps``, waiting for each."""
    engine = Engine(stdstats=False)
    for symbol in symbols:
        engine.adddata(StreamFeed(**feed_params(symbol, interval)))
    engine.steps = steps
    return _assemble(engine, spec, strategy, params)
