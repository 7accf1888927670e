"""The strategy run over a part of the bars, with all that it ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import backtrader as bt
import numpy as np

from tapedeck_backtest.bars.clock import to_ms
from tapedeck_backtest.bars.resample import built_from
from tapedeck_backtest.engine import cerebro
from tapedeck_backtest.engine.feeds import Columns
from tapedeck_crds.backtest import BacktestSpec

BARS = 20_000  # of each symbol are checked, the first: a strategy that cheats does so everywhere


@dataclass(frozen=True)
class Signal:
    """An order when it was made: event time of the bar (ms UTC), size below 0 for a sale.

    ``kind`` is empty for a market order; ``asked`` are the prices, or distances from one, that another asked for.
    """

    event: int
    symbol: str
    size: float
    kind: str
    asked: tuple[float, ...]

    def __str__(self) -> str:
        asked = f" ({self.kind} {', '.join(f'{each:g}' for each in self.asked)})" if self.kind else ""
        return f"{'buy' if self.size > 0 else 'sell'} {abs(self.size):g} of {self.symbol}{asked}"


def signal_of(order: Any, event: int) -> Signal:
    """What the order, made at ``event``, asks for."""
    created, size = order.created, order.created.size
    if order.exectype == bt.Order.Market:
        return Signal(event, order.data._name, size, "", ())
    asked = (created.price, created.pricelimit, created.trailamount, created.trailpercent)
    return Signal(event, order.data._name, size, order.getordername(), tuple(each for each in asked if each))


@dataclass(frozen=True)
class Lab:
    """Where the strategy is tried again. ``pulse`` is called after each bar."""

    spec: BacktestSpec
    strategy: type[Any]
    params: dict[str, Any]
    series: Mapping[str, Columns]
    interval: str
    pulse: Callable[[], None]

    @classmethod
    def over(
        cls,
        spec: BacktestSpec,
        strategy: type[Any],
        params: dict[str, Any],
        series: Mapping[str, Columns],
        interval: str,
        pulse: Callable[[], None],
    ) -> Lab:
        """A lab with the first bars of each symbol."""
        end = min(int(columns.event[: BARS + 1][-1]) for columns in series.values())
        return cls(spec, strategy, params, part(series, 0, end), interval, pulse)

    @property
    def events(self) -> np.typing.NDArray[np.int64]:
        """Event times of all bars, ms UTC, in order."""
        return np.unique(np.concatenate([columns.event for columns in self.series.values()]))

    def run(self, first: int, last: int) -> tuple[list[Signal], Any]:
        """What it orders, and the strategy when it is through, over bars with event times in [first, last].

        Raises what the strategy raises.
        """
        signals: list[Signal] = []
        bars = built_from(part(self.series, first, last), self.interval, self.spec.data.intervals)
        made = cerebro.batch_engine(self.spec, _noting(self.strategy, signals), self.params, bars, self.interval)
        made.addanalyzer(_Pulse, pulse=self.pulse)
        return signals, made.run()[0]


def part(series: Mapping[str, Columns], first: int, last: int) -> dict[str, Columns]:
    """Bars with event times in [first, last], as views, of each symbol: a strategy finds the feeds that it knows."""
    found = {}
    for symbol, columns in series.items():
        low, high = np.searchsorted(columns.event, (first, last + 1))
        found[symbol] = Columns(**{name: array[low:high] for name, array in vars(columns).items()})
    return found


class _Pulse(bt.Analyzer):  # type: ignore[misc]
    params = (("pulse", None),)

    def next(self) -> None:
        self.p.pulse()


def _noting(strategy: type[Any], signals: list[Signal]) -> type[Any]:
    class Noting(strategy):  # type: ignore[misc]
        def buy(self, *args: Any, **kwargs: Any) -> Any:
            return self._note(super().buy(*args, **kwargs))

        def sell(self, *args: Any, **kwargs: Any) -> Any:
            return self._note(super().sell(*args, **kwargs))

        def _note(self, order: Any) -> Any:
            if order is not None:
                signals.append(signal_of(order, to_ms(self.datetime[0])))
            return order

    Noting.__name__ = strategy.__name__
    return Noting
