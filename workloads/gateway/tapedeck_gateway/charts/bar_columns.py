"""Bars of one series in memory, and their aggregation to coarser bars."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec

from tapedeck_crds.intervals import BarLength

EVICT_BARS = 1_024  # the oldest bars are evicted in groups of so many: each eviction moves all other bars


class Candle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A bar as a chart needs it. ``ts`` is the open time, milliseconds UTC."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool = True

    @property
    def prices(self) -> tuple[float, float, float, float]:
        """Open, high, low and close."""
        return (self.open, self.high, self.low, self.close)


class BarColumns:
    """The latest ``limit`` bars by open time, stored as columns: 48 bytes a bar."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ts = array("q")
        self._values = tuple(array("d") for _ in range(5))

    def __len__(self) -> int:
        return len(self._ts)

    def upsert(self, ts: int, values: tuple[float, float, float, float, float]) -> int | None:
        """Insert or replace the bar that opens at ``ts``.

        Returns the open time of the oldest bar left if older bars were evicted, None otherwise.
        """
        at = len(self._ts) if not self._ts or ts > self._ts[-1] else bisect_left(self._ts, ts)
        if at < len(self._ts) and self._ts[at] == ts:
            for column, value in zip(self._values, values, strict=True):
                column[at] = value
            return None
        self._ts.insert(at, ts)
        for column, value in zip(self._values, values, strict=True):
            column.insert(at, value)
        if len(self._ts) <= self._limit + EVICT_BARS:
            return None
        self._delete(slice(0, EVICT_BARS))
        return self._ts[0]

    def has(self, ts: int, values: tuple[float, float, float, float, float]) -> bool:
        """Whether there is a bar that opens at ``ts``, with these values."""
        at = bisect_left(self._ts, ts)
        return (
            at < len(self._ts)
            and self._ts[at] == ts
            and all(column[at] == value for column, value in zip(self._values, values, strict=True))
        )

    def add_trade(self, ts: int, price: float, amount: float) -> int | None:
        """Add a trade to the bar that opens at ``ts``: the last one, or a new one. Returns what ``upsert`` returns."""
        if not self._ts or self._ts[-1] != ts:
            return self.upsert(ts, (price, price, price, price, amount))
        _open, high, low, close, volume = self._values
        high[-1], low[-1], close[-1] = max(high[-1], price), min(low[-1], price), price
        volume[-1] += amount
        return None

    def truncate(self, ts: int) -> None:
        """Delete the bars that open at ``ts`` or later."""
        self._delete(slice(bisect_left(self._ts, ts), None))

    def _delete(self, rows: slice) -> None:
        del self._ts[rows]
        for column in self._values:
            del column[rows]

    def between(self, start: int, end: int) -> Iterator[Candle]:
        """The bars with open time in [start, end), milliseconds UTC, in order."""
        first, last = bisect_left(self._ts, start), bisect_left(self._ts, end)
        for ts, o, h, low, c, v in zip(
            self._ts[first:last], *(column[first:last] for column in self._values), strict=True
        ):
            yield Candle(ts, o, h, low, c, v)

    @property
    def first_open(self) -> int | None:
        """The open time of the first bar; None without any."""
        return self._ts[0] if self._ts else None

    def last_open_before(self, ts: int) -> int | None:
        """The open time of the last bar that opens before ``ts``."""
        at = bisect_left(self._ts, ts)
        return self._ts[at - 1] if at else None


def aggregate(candles: Iterable[Candle], length: BarLength, closed_until: int) -> list[Candle]:
    """Bars of a length from finer bars in order. A bar is closed if it ends by ``closed_until``."""
    built: list[Candle] = []
    bucket, end = None, 0
    o = h = low = c = v = 0.0
    for candle in candles:
        if bucket is None or candle.ts >= end:
            if bucket is not None:
                built.append(Candle(bucket, o, h, low, c, v, end <= closed_until))
            bucket, end = length.open_of(candle.ts), length.close_of(candle.ts)
            o, h, low, v = candle.open, candle.high, candle.low, 0.0
        h, low, c, v = max(h, candle.high), min(low, candle.low), candle.close, v + candle.volume
    if bucket is not None:
        built.append(Candle(bucket, o, h, low, c, v, end <= closed_until))
    return built


def filled(own: Iterable[Candle], finer: Iterable[Candle], length: BarLength) -> list[Candle]:
    """Bars of a length in order: the closed ones of a series, and of what finer bars make where it has none.

    The bar under way is that of the finer bars, which tell more of it. A series may have bars that open between the
    multiples of its length, as hours of a session from 09:30: finer bars make none that would overlap them.
    """
    bars = list(own)
    between = [bar.ts for bar in bars if bar.closed and length.open_of(bar.ts) != bar.ts]
    taken = {opened for ts in between for opened in (length.open_of(ts), length.close_of(ts))}
    chosen = {bar.ts: bar for bar in bars if not bar.closed}
    chosen |= {bar.ts: bar for bar in finer if bar.ts not in taken}
    chosen |= {bar.ts: bar for bar in bars if bar.closed}
    return [chosen[opened] for opened in sorted(chosen)]
