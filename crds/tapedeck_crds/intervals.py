"""The lengths of bars: when each bar opens and closes. Times are integer milliseconds UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

Interval = Literal[
    "1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"
]  # fmt: skip
"""ccxt's timeframes."""

DAY_MS = 86_400_000
# Where the bars are counted from that no day divides: from a Monday, and as Binance counts, whose candles of three days
# open on 28 and 31 March 2024 and on 3 April.
_ORIGINS = {"1w": 4 * DAY_MS, "3d": DAY_MS}
_YEAR_1, _YEAR_9999 = -62_135_596_800, 253_370_764_800  # the first and the last that calendars have, in seconds
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS, "M": 31 * DAY_MS}


@dataclass(frozen=True, slots=True)
class BarLength:
    """Bars of one interval are numbered: number n opens at ``opens(n)`` and closes when the next one opens.

    ``ms`` is the length, of a month the longest. ``origin`` is the open of number 0: weeks begin on Monday, months on
    their first day, three days as Binance's on 1970-01-02, all others at 1970-01-01.
    """

    interval: str
    ms: int
    origin: int = 0
    monthly: bool = False

    def number(self, ts: int) -> int:
        """The number of the bar that contains ``ts``."""
        if not self.monthly:
            return (ts - self.origin) // self.ms
        moment = datetime.fromtimestamp(min(max(ts // 1000, _YEAR_1), _YEAR_9999), UTC)
        return moment.year * 12 + moment.month - 1

    def opens(self, number: int) -> int:
        """The open time of a bar."""
        if not self.monthly:
            return self.origin + number * self.ms
        return int(datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000

    def open_of(self, ts: int) -> int:
        """The open of the bar that contains ``ts``."""
        return ts - (ts - self.origin) % self.ms if not self.monthly else self.opens(self.number(ts))

    def close_of(self, ts: int) -> int:
        """The close of the bar that contains ``ts``: the next bar's open."""
        return self.open_of(ts) + self.ms if not self.monthly else self.opens(self.number(ts) + 1)

    def open_of_event(self, ts: int) -> int:
        """The open of the bar in which happened what is known at event time ``ts``: it ends then, or contains that.

        A fill has the event time of the bar that filled it, which is that bar's close. The page has the same rule in
        ``openOf`` of ``lengths.ts``; both are tested with one table.
        """
        return self.open_of(ts - 1)

    def first_open(self, ts: int) -> int:
        """The first open at or after ``ts``."""
        return self.close_of(ts - 1)

    def shifted(self, ts: int, bars: int) -> int:
        """``ts`` moved by a number of bars; of months, to the open of the month that many later."""
        return ts + bars * self.ms if not self.monthly else self.opens(self.number(ts) + bars)

    def open_times(self, start: int, end: int, last: int) -> list[int]:
        """The last ``last`` opens in [start, end), in order."""
        begin, stop = self.number(start - 1) + 1, self.number(end - 1) + 1
        return [self.opens(number) for number in range(begin, stop)[-last:]]

    def consists_of(self, finer: BarLength) -> bool:
        """Whether each bar is made of whole bars of a shorter length."""
        if finer.ms >= self.ms or finer.monthly:
            return False
        if self.monthly:
            return finer.origin == 0 and DAY_MS % finer.ms == 0
        return self.ms % finer.ms == 0 and (self.origin - finer.origin) % finer.ms == 0


def _length(interval: str) -> BarLength:
    count, unit = int(interval[:-1]), interval[-1]
    return BarLength(interval, count * _UNITS_MS[unit], _ORIGINS.get(interval, 0), unit == "M")


BAR_LENGTHS: dict[str, BarLength] = {interval: _length(interval) for interval in get_args(Interval)}
"""Every interval's length, the shortest first."""


def finer_lengths(interval: str) -> Iterator[BarLength]:
    """The lengths that bars of an interval can be aggregated from, the longest first."""
    wanted = BAR_LENGTHS[interval]
    return (length for length in reversed(BAR_LENGTHS.values()) if wanted.consists_of(length))
