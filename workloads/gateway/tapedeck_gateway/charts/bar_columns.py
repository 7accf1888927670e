"""Bars of one series in memory, and coarser bars built from them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec

TRIM = 1_024  # the oldest bars go in runs of so many, since each cut moves the rest


class Candle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A bar as a chart wants it. ``ts`` is the open, milliseconds UTC."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool = True


class Series:
    """The latest ``limit`` bars by open time, as columns: 48 bytes a bar."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ts = array("q")
        self._values = tuple(array("d") for _ in range(5))

    def __len__(self) -> int:
        return len(self._ts)

    @property
    def first(self) -> int | None:
        """Open of the oldest bar, milliseconds UTC."""
        return self._ts[0] if self._ts else None

    def put(self, ts: int, values: tuple[float, float, float, float, float]) -> int | None:
        """Add or correct a bar; returns the open of the oldest bar left where older ones had to go."""
        at = len(self._ts) if not self._ts or ts > self._ts[-1] else bisect_left(self._ts, ts)
        if at < len(self._ts) and self._ts[at] == ts:
            for column, value in zip(self._values, values, strict=True):
                column[at] = value
            return None
        self._ts.insert(at, ts)
        for column, value in zip(self._values, values, strict=True):
            column.insert(at, value)
        if len(self._ts) <= self._limit + TRIM:
            return None
        self._drop(slice(0, TRIM))
        return self._ts[0]

    def add(self, ts: int, price: float, amount: float) -> int | None:
        """Take a trade into the bar that opens at ``ts``, the last or a new one; returns what ``put`` does."""
        if not self._ts or self._ts[-1] != ts:
            return self.put(ts, (price, price, price, price, amount))
        _open, high, low, close, volume = self._values
        high[-1], low[-1], close[-1] = max(high[-1], price), min(low[-1], price), price
        volume[-1] += amount
        return None

    def cut(self, ts: int) -> None:
        """Forget the bars that open at ``ts`` or later."""
        self._drop(slice(bisect_left(self._ts, ts), None))

    def _drop(self, rows: slice) -> None:
        del self._ts[rows]
        for column in self._values:
            del column[rows]

    def candles(self, start: int, end: int) -> Iterator[Candle]:
        """The bars with open in [start, end), milliseconds UTC."""
        first, last = bisect_left(self._ts, start), bisect_left(self._ts, end)
        for ts, o, h, low, c, v in zip(
            self._ts[first:last], *(column[first:last] for column in self._values), strict=True
        ):
            yield Candle(ts, o, h, low, c, v)

    def before(self, ts: int) -> int | None:
        """Open of the last bar before ``ts``."""
        at = bisect_left(self._ts, ts)
        return self._ts[at - 1] if at else None


def coarser(candles: Iterable[Candle], width: int, known: int) -> list[Candle]:
    """Bars of ``width`` milliseconds out of finer ones in order; closed are those that end by ``known``."""
    built: list[Candle] = []
    bucket = None
    o = h = low = c = v = 0.0
    for candle in candles:
        opened = candle.ts - candle.ts % width
        if opened != bucket:
            if bucket is not None:
                built.append(Candle(bucket, o, h, low, c, v, bucket + width <= known))
            bucket, o, h, low, v = opened, candle.open, candle.high, candle.low, 0.0
        h, low, c, v = max(h, candle.high), min(low, candle.low), candle.close, v + candle.volume
    if bucket is not None:
        built.append(Candle(bucket, o, h, low, c, v, bucket + width <= known))
    return built
