"""Backtrader data feeds of one symbol: filled from arrays at once, or appended to bar by bar.

Prices are float64, ``openinterest`` is NaN, ``datetime`` is the event time (see bars.clock).
"""

from __future__ import annotations

from array import array
from typing import Any

import backtrader as bt
import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.clock import to_days_array
from tapedeck_common.market import Bar

_TIMEFRAMES = {"s": bt.TimeFrame.Seconds, "m": bt.TimeFrame.Minutes, "d": bt.TimeFrame.Days}


def feed_params(name: str, interval: str) -> dict[str, Any]:
    """Backtrader's params of a feed: its name, timeframe and compression.

    ``interval`` is that of the run's bars; a resampled feed has its own in its name.
    """
    interval = name.partition("@")[2] or interval
    count, unit = int(interval[:-1]), interval[-1]
    if unit == "h":
        count, unit = count * 60, "m"
    return {"name": name, "timeframe": _TIMEFRAMES[unit], "compression": count}


class _Feed(bt.feed.DataBase):  # type: ignore[misc]
    """Each bar is one tick: ``tick_*`` read the bar on access instead of being copied at every bar."""

    def _tick_nullify(self) -> None:
        pass

    def _tick_fill(self, force: bool = False) -> None:
        pass

    def start(self) -> None:
        super().start()
        self._buffers = list(self.lines)


def _tick(name: str) -> property:
    return property(lambda self: getattr(self.lines, name)[0])


for _name in ("open", "high", "low", "close", "volume", "openinterest"):
    setattr(_Feed, f"tick_{_name}", _tick(_name))
_Feed.tick_last = _tick("close")


class BatchFeed(_Feed):
    """All bars at once: preload copies whole arrays into the lines."""

    params = (("columns", None),)

    def preload(self) -> None:
        columns: BarArrays = self.p.columns
        blank = np.full(len(columns.event), np.nan)
        for name in self.getlinealiases():
            values = to_days_array(columns.event) if name == "datetime" else getattr(columns, name, blank)
            line = getattr(self.lines, name)
            line.array = array("d")
            line.array.frombytes(np.asarray(values, dtype=np.float64).tobytes())
        self.home()

    def advance(self, size: int = 1, datamaster: Any = None, ticks: bool = True) -> None:
        """Move to the next bar. The engine decides when, so no other feed is compared with."""
        for line in self._buffers:
            line._idx += size
            line.lencount += size


class StreamFeed(_Feed):
    """Bars that arrive one by one. All of them are kept, because strategies may look back any number of bars."""

    def islive(self) -> bool:
        return True

    def append(self, bar: Bar, days: float) -> None:
        """Append the bar, with its event time in Backtrader days, and move to it."""
        values = (bar.close, bar.low, bar.high, bar.open, bar.volume, float("nan"), days)
        for line, value in zip(self._buffers, values, strict=True):
            line.array.append(value)
            line._idx += 1
            line.lencount += 1
