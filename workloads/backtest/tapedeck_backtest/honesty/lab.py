"""The strategy run over a part of the bars, with all that it ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapedeck_backtest.clock import to_ms
from tapedeck_backtest.feeds import Columns
from tapedeck_backtest.general import engine
from tapedeck_backtest.resample import with_coarser
from tapedeck_crds.backtest import BacktestSpec

BARS = 20_000  # of each symbol are checked, the first: a strategy that cheats does so everywhere


@dataclass(frozen=True)
class Signal:
    """An order when it was made: event time of the bar (ms UTC), size below 0 for a sale, price where one was asked."""

    event: int
    symbol: str
    size: float
    price: float | None

    def __str__(self) -> str:
        at = "" if self.price is None else f" at {self.price:g}"
        return f"{'buy' if self.size > 0 else 'sell'} {abs(self.size):g} of {self.symbol}{at}"


@dataclass(frozen=True)
class Lab:
    """Where the strategy is tried again. ``pulse`` is called after each try."""

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
        bars = with_coarser(part(self.series, first, last), self.interval, self.spec.data.intervals)
        made = engine.batch(self.spec, _noting(self.strategy, signals), self.params, bars, self.interval)
        strategies = made.run()
        self.pulse()
        return signals, strategies[0]


def part(series: Mapping[str, Columns], first: int, last: int) -> dict[str, Columns]:
    """Bars with event times in [first, last], as views; symbols without one are left out."""
    found = {}
    for symbol, columns in series.items():
        low, high = np.searchsorted(columns.event, (first, last + 1))
        if low < high:
            found[symbol] = Columns(**{name: array[low:high] for name, array in vars(columns).items()})
    return found


def _noting(strategy: type[Any], signals: list[Signal]) -> type[Any]:
    class Noting(strategy):  # type: ignore[misc]
        def buy(self, *args: Any, **kwargs: Any) -> Any:
            return self._note(super().buy(*args, **kwargs), kwargs)

        def sell(self, *args: Any, **kwargs: Any) -> Any:
            return self._note(super().sell(*args, **kwargs), kwargs)

        def _note(self, order: Any, asked: dict[str, Any]) -> Any:
            if order is not None:
                moment = to_ms(self.datetime[0])
                signals.append(Signal(moment, order.data._name, order.created.size, asked.get("price")))
            return order

    Noting.__name__ = strategy.__name__
    return Noting
