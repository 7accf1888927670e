"""Bars of one symbol as arrays, and the bars of one event time as a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tapedeck_common.market import Bar
from tapedeck_common.store.bars import Floats, Ints

# All bars of one event time (ms UTC), each with the index of its symbol or feed.
TimeStep: TypeAlias = tuple[int, Sequence[tuple[int, Bar]]]


@dataclass(frozen=True)
class BarArrays:
    """All bars of one symbol, ascending. ``event`` is the event time in ms UTC; all arrays have the same length."""

    event: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def rows(self, selected: slice | NDArray[np.bool_]) -> BarArrays:
        """The selected rows; of a slice, as views of the same arrays."""
        return BarArrays(**{name: array[selected] for name, array in vars(self).items()})


def resampled_name(symbol: str, interval: str) -> str:
    """The name of the feed that is resampled from a symbol's bars, such as BTC/USD@1h. A symbol may begin with an @."""
    return f"{symbol}@{interval}"


def symbol_of(name: str) -> str:
    """The symbol of the feed of this name."""
    return name[:1] + name[1:].partition("@")[0]


def interval_of(name: str) -> str:
    """The interval of the feed of this name if it is resampled from finer bars, else empty."""
    return name[1:].partition("@")[2]


def is_resampled(name: str) -> bool:
    """Whether the feed of this name is resampled from finer bars."""
    return interval_of(name) != ""
