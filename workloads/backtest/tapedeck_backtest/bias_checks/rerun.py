"""Reruns of the strategy over parts of its bars, recording every order it places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import backtrader as bt
import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.datetimes import Sessions
from tapedeck_backtest.bars.resample import resample
from tapedeck_backtest.engine.cerebro import batch_engine
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.intervals import BAR_LENGTHS

BARS = 20_000  # per symbol, the first ones: a biased strategy is biased everywhere


@dataclass(frozen=True)
class PlacedOrder:
    """An order as it was placed: event time of the bar (ms UTC), size, negative for a sale.

    ``kind`` is empty for a market order; ``prices`` are the prices and trailing distances of other orders.
    """

    event: int
    symbol: str
    size: float
    kind: str
    prices: tuple[float, ...]

    def __str__(self) -> str:
        prices = f" ({self.kind} {', '.join(f'{each:g}' for each in self.prices)})" if self.kind else ""
        return f"{'buy' if self.size > 0 else 'sell'} {abs(self.size):g} of {self.symbol}{prices}"


def placed_order(order: Any, event: int) -> PlacedOrder:
    """The Backtrader order that was placed at ``event`` (ms UTC)."""
    created, size = order.created, order.created.size
    if order.exectype == bt.Order.Market:
        return PlacedOrder(event, order.data._name, size, "", ())
    prices = (created.price, created.pricelimit, created.trailamount, created.trailpercent)
    return PlacedOrder(event, order.data._name, size, order.getordername(), tuple(each for each in prices if each))


@dataclass(frozen=True)
class StrategyRerun:
    """A strategy and its bars. ``heartbeat`` is called after each bar; what it raises ends a rerun."""

    spec: BacktestSpec
    strategy: type[Any]
    params: dict[str, Any]
    series: Mapping[str, BarArrays]
    interval: str
    sessions: Sessions
    heartbeat: Callable[[], None]

    @classmethod
    def over(
        cls,
        spec: BacktestSpec,
        strategy: type[Any],
        params: dict[str, Any],
        series: Mapping[str, BarArrays],
        interval: str,
        sessions: Sessions,
        heartbeat: Callable[[], None],
    ) -> StrategyRerun:
        """Reruns over the first BARS bars of each symbol."""
        end = min(int(columns.event[: BARS + 1][-1]) for columns in series.values())
        return cls(spec, strategy, params, _between(series, 0, end), interval, sessions, heartbeat)

    @property
    def events(self) -> np.typing.NDArray[np.int64]:
        """Event times of all bars, ms UTC, ascending."""
        return np.unique(np.concatenate([columns.event for columns in self.series.values()]))

    def run(self, first: int, last: int) -> tuple[list[PlacedOrder], Any]:
        """Run over bars with event times in [first, last], ms UTC: the orders, and the strategy after the last bar.

        Raises what the strategy raises.
        """
        orders: list[PlacedOrder] = []
        series = _between(self.series, first, last)
        limits = Limits(BAR_LENGTHS[self.interval].open_of(first - 1) if first else None, last)
        intervals = self.spec.data.intervals
        feeds = resample(series, self.interval, intervals, self.sessions, limits, require_bars=False)
        strategy = _recording(self.strategy, orders)
        engine = batch_engine(self.spec, strategy, self.params, feeds, self.interval, self.sessions)
        engine.addanalyzer(_Heartbeat, heartbeat=self.heartbeat)
        return orders, engine.run()[0]


def _between(series: Mapping[str, BarArrays], first: int, last: int) -> dict[str, BarArrays]:
    """Each symbol's bars with event times in [first, last], as views; a symbol without any keeps an empty feed."""
    selected = {}
    for symbol, columns in series.items():
        low, high = np.searchsorted(columns.event, (first, last + 1))
        selected[symbol] = columns.rows(slice(low, high))
    return selected


class _Heartbeat(bt.Analyzer):  # type: ignore[misc]
    params = (("heartbeat", None),)

    def next(self) -> None:
        self.p.heartbeat()


def _recording(strategy: type[Any], orders: list[PlacedOrder]) -> type[Any]:
    class Recording(strategy):  # type: ignore[misc]
        def buy(self, *args: Any, **kwargs: Any) -> Any:
            return self._record(super().buy(*args, **kwargs))

        def sell(self, *args: Any, **kwargs: Any) -> Any:
            return self._record(super().sell(*args, **kwargs))

        def _record(self, order: Any) -> Any:
            if order is not None:
                orders.append(placed_order(order, self.cerebro.event))
            return order

    Recording.__name__ = strategy.__name__
    return Recording
