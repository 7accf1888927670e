"""Feeds of one symbol, filled from arrays at once or by one bar at a time.

Prices are float64, ``openinterest`` is NaN, ``datetime`` is the event time (see clock).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import backtrader as bt
import numpy as np

from tapedeck_backtest.bars.clock import to_days_array
from tapedeck_common.market import Bar
from tapedeck_common.store.bars import Floats, Ints

_TIMEFRAMES = {"s": bt.TimeFrame.Seconds, "m": bt.TimeFrame.Minutes, "d": bt.TimeFrame.Days}


@dataclass(frozen=True)
class Columns:
    """All bars of one symbol in order. ``event`` is ms UTC; all arrays have the same length."""

    event: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


def coarse_name(symbol: str, interval: str) -> str:
    """The name of a feed that is built from a symbol's finer bars: BTC/USD@1h. No symbol has an @."""
    return f"{symbol}@{interval}"


def is_coarse(name: str) -> bool:
    """Whether a feed of this name is built from finer bars."""
    return "@" in name


def feed_params(symbol: str, interval: str) -> dict[str, Any]:
    """The params by which Backtrader knows a feed: its name, timeframe and compression."""
    interval = symbol.partition("@")[2] or interval
    count, unit = int(interval[:-1]), interval[-1]
    if unit == "h":
        count, unit = count * 60, "m"
    return {"name": symbol, "timeframe": _TIMEFRAMES[unit], "compression": count}


class _Feed(bt.feed.DataBase):  # type: ignore[misc]
    """The bar is the tick: ``tick_*`` are read from the bar when asked for, not copied at each bar."""

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
        columns: Columns = self.p.columns
        blank = np.full(len(columns.event), np.nan)
        for name in self.getlinealiases():
            values = to_days_array(columns.event) if name == "datetime" else getattr(columns, name, blank)
            line = getattr(self.lines, name)
            line.array = array("d")
            line.array.frombytes(np.asarray(values, dtype=np.float64).tobytes())
        self.home()

    def advance(self, size: int = 1, datamaster: Any = None, ticks: bool = True) -> None:
        """Move to the next bar. The engine says when: there is no other feed to be compared with."""
        for line in self._buffers:
            line._idx += size
            line.lencount += size


class StreamFeed(_Feed):
    """Bars one by one, as they come. Backtrader keeps all of them, for strategies look back as far as they like."""

    def islive(self) -> bool:
        return True

    def push(self, bar: Bar, days: float) -> None:
        """Append the bar and move to it."""
        values = (bar.close, bar.low, bar.high, bar.open, bar.volume, float("nan"), days)
        for line, value in zip(self._buffers, values, strict=True):
            line.array.append(value)
            line._idx += 1
            line.lencount += 1
