"""History that only the indicators see: the strategy neither acts on it nor is measured by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tapedeck_backtest.bars.clock import to_days
from tapedeck_backtest.engine.cerebro import Step
from tapedeck_backtest.engine.feeds import Columns
from tapedeck_backtest.report.nan_guard import FiniteCollector
from tapedeck_common.market import Bar
from tapedeck_crds.base import INTERVAL_MS


def quiet_until(strategy: type[Any], event: int) -> type[Any]:
    """The strategy, whose ``next`` is first called at event time ``event`` (ms UTC), and ``nextstart`` at most once."""
    begins = to_days(event)

    class Quiet(strategy):  # type: ignore[misc]
        _held = False

        def prenext(self) -> None:
            if self.datetime[0] >= begins:
                super().prenext()

        def nextstart(self) -> None:
            if self.datetime[0] >= begins:
                super().nextstart()
            else:
                self._held = True

        def next(self) -> None:
            if self.datetime[0] < begins:
                return
            if self._held:
                self._held = False
                super().nextstart()
            else:
                super().next()

    Quiet.__name__ = strategy.__name__
    return Quiet


class LateCollector(FiniteCollector):
    """Collects from event time ``begins`` (ms UTC)."""

    params = (("begins", 0),)  # type: ignore[assignment]

    def start(self) -> None:
        super().start()
        self._begins = to_days(self.p.begins)

    def next(self) -> None:
        if self._now[0] >= self._begins:
            super().next()
        else:
            self._results.pulse()


def joined(history: Mapping[str, Columns], series: Mapping[str, Columns]) -> dict[str, Columns]:
    """The history of each symbol and then its bars."""
    return {
        symbol: Columns(
            **{name: np.concatenate([getattr(history[symbol], name), array]) for name, array in vars(columns).items()}
        )
        for symbol, columns in series.items()
    }


def steps_of(history: Mapping[str, Columns], exchange: str, interval: str) -> Iterator[Step]:
    """The history as a stream would bring it."""
    width, at = INTERVAL_MS[interval], dict.fromkeys(history, 0)
    for event in np.unique(np.concatenate([columns.event for columns in history.values()])).tolist():
        bars = []
        for index, (symbol, columns) in enumerate(history.items()):
            i = at[symbol]
            if i < len(columns.event) and columns.event[i] == event:
                lines = (columns.open, columns.high, columns.low, columns.close, columns.volume)
                o, h, low, c, v = (float(line[i]) for line in lines)
                bars.append((index, Bar(exchange, symbol, interval, event - width, o, h, low, c, v)))
                at[symbol] = i + 1
        yield event, bars
