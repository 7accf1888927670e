"""Backtrader data feeds of one symbol: filled from arrays at once, or appended to bar by bar.

Prices are float64, ``openinterest`` is NaN, ``datetime`` is of the bar's trading day (see bars.datetimes). It is not
always the event time, which the feed keeps beside it.
"""

from __future__ import annotations

import datetime
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import backtrader as bt
import numpy as np

from tapedeck_backtest.bars.arrays import BarArrays, interval_of
from tapedeck_backtest.bars.clock import DAY_MS
from tapedeck_backtest.bars.datetimes import BarDatetimes
from tapedeck_common.market import Bar
from tapedeck_common.store.bars import Ints
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import ALWAYS_OPEN, MIDNIGHT, Session

_TIMEFRAMES = {
    "s": bt.TimeFrame.Seconds, "m": bt.TimeFrame.Minutes, "d": bt.TimeFrame.Days, "w": bt.TimeFrame.Weeks,
    "M": bt.TimeFrame.Months,
}  # fmt: skip


def feed_params(name: str, interval: str, session: Session = ALWAYS_OPEN) -> dict[str, Any]:
    """The params of a feed: its name, timeframe, compression, datetimes, and the session as Backtrader knows it.

    ``interval`` is that of the run's bars; a resampled feed has its own in its name.
    """
    own = interval_of(name) or interval
    count, unit = int(own[:-1]), own[-1]
    if unit == "h":
        count, unit = count * 60, "m"
    return {
        "name": name,
        "timeframe": _TIMEFRAMES[unit],
        "compression": count,
        "datetimes": BarDatetimes(session, interval),
        "tz": None if session.timezone == "UTC" else LocalizingZone(session.timezone),
        "sessionstart": datetime.time.fromisoformat(session.open),
        "sessionend": None if session.close == MIDNIGHT else datetime.time.fromisoformat(session.close),
    }


def is_dated_by_finer_bars(name: str) -> bool:
    """Whether bars of the feed have the datetime of the last bar that they are made of.

    So have those that Backtrader resamples to weeks and months: a week of stocks is of its Friday, or of the day
    before a holiday.
    """
    own = interval_of(name)
    return own != "" and BAR_LENGTHS[own].ms > DAY_MS


class LocalizingZone(ZoneInfo):
    """A time zone with the method of pytz that Backtrader calls."""

    def localize(self, naive: datetime.datetime) -> datetime.datetime:
        """The local time, with its zone."""
        return naive.replace(tzinfo=self)


class _Feed(bt.feed.DataBase):  # type: ignore[misc]
    """Each bar is one tick: ``tick_*`` read the bar on access instead of being copied at every bar.

    ``events`` are the event times of its bars (ms UTC), beside the line ``datetime``. The bars have the datetimes of
    those of ``finer`` where one is given: what they are made of, in the form in which the feed takes its own bars.
    """

    params: tuple[tuple[str, None], ...] = (("datetimes", None), ("finer", None))
    events: Sequence[int]

    def event_of(self, days: float) -> int:
        """The event time (ms UTC) of the bar that has this datetime."""
        return int(self.events[bisect_left(self.lines.datetime.array, days)])

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
        self.events = columns.event.data
        blank = np.full(len(columns.event), np.nan)
        for name in self.getlinealiases():
            is_time = name == "datetime"
            values = self.p.datetimes.at_all(self._dates()) if is_time else getattr(columns, name, blank)
            line = getattr(self.lines, name)
            line.array = array("d")
            line.array.frombytes(np.asarray(values, dtype=np.float64).tobytes())
        self.home()

    def _dates(self) -> Ints:
        """The event times that the datetimes of the bars are those of."""
        events: Ints = self.p.columns.event
        if self.p.finer is None:
            return events
        made_of: Ints = self.p.finer.event
        return made_of[np.searchsorted(made_of, events, side="right") - 1]

    def advance(self, size: int = 1, datamaster: Any = None, ticks: bool = True) -> None:
        """Move to the next bar. The engine decides when, so no other feed is compared with."""
        first = self._buffers[0]
        index, length = first._idx + size, first.lencount + size  # of all lines: they move together
        for line in self._buffers:
            line._idx = index
            line.lencount = length


class StreamFeed(_Feed):
    """Bars that arrive one by one. All of them are kept, because strategies may look back any number of bars."""

    def islive(self) -> bool:
        return True

    def start(self) -> None:
        super().start()
        self._times = self.events = array("q")

    def append(self, bar: Bar, event: int) -> None:
        """Append the bar, with its event time (ms UTC), and move to it."""
        self._times.append(event)
        finer = self.p.finer
        datetime = self.p.datetimes.at(event) if finer is None else finer.lines.datetime.array[-1]
        values = (bar.close, bar.low, bar.high, bar.open, bar.volume, float("nan"), datetime)
        for line, value in zip(self._buffers, values, strict=True):
            line.array.append(value)
            line._idx += 1
            line.lencount += 1
