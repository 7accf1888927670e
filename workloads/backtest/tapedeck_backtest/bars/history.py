"""Warm-up history in front of a run's bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays, TimeStep
from tapedeck_common.market import Bar
from tapedeck_crds.intervals import BAR_LENGTHS


def prepend_history(history: Mapping[str, BarArrays], series: Mapping[str, BarArrays]) -> dict[str, BarArrays]:
    """Each symbol's history followed by its bars."""
    return {
        symbol: BarArrays(
            **{name: np.concatenate([getattr(history[symbol], name), array]) for name, array in vars(columns).items()}
        )
        for symbol, columns in series.items()
    }


def history_steps(history: Mapping[str, BarArrays], exchange: str, interval: str) -> Iterator[TimeStep]:
    """The history as time steps, in the form in which a stream delivers its bars."""
    length, next_row = BAR_LENGTHS[interval], dict.fromkeys(history, 0)
    for event in np.unique(np.concatenate([columns.event for columns in history.values()])).tolist():
        bars = []
        for index, (symbol, columns) in enumerate(history.items()):
            row = next_row[symbol]
            if row < len(columns.event) and columns.event[row] == event:
                fields = (columns.open, columns.high, columns.low, columns.close, columns.volume)
                o, h, low, c, v = (float(field[row]) for field in fields)
                bars.append((index, Bar(exchange, symbol, interval, length.open_of(event - 1), o, h, low, c, v)))
                next_row[symbol] = row + 1
        yield event, bars
