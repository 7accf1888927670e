"""The latest bars of the live market, for the series that a client is subscribed to."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from tapedeck_common.market import Bar, bar_problem, series_key
from tapedeck_common.wire import MessageHeaders, decode_bar, origin_of
from tapedeck_crds.base import described_ms
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import BarColumns, Candle, aggregate
from tapedeck_gateway.charts.late_bars import LateBars

TS_MAX = 253_402_300_799_999  # the end of the year 9999
KEPT_BARS = 100_000  # two months of minutes: a bar of one month and its predecessor
RECENT_RECORDS = 10_000  # of all series: what the recorder may not have stored yet when a chart opens


@dataclass
class _LiveSeries:
    """Bars of one series. ``closed_until`` is the event time of the last closed one.

    ``late`` are those that changed behind a newer one since the series is watched.
    """

    late: LateBars = field(default_factory=LateBars)
    bars: BarColumns = field(default_factory=lambda: BarColumns(KEPT_BARS))
    closed_until: int = 0
    watchers: int = 0


class LiveBars:
    """Bars of one length, ``base``, of the series that are watched: closed ones, and the one under way of each."""

    def __init__(self, base: BarLength) -> None:
        self.base = base
        self._series: dict[bytes, _LiveSeries] = {}
        self._lock = threading.Lock()

    @property
    def watchers(self) -> int:
        """The number of charts that show these bars."""
        with self._lock:
            return sum(series.watchers for series in self._series.values())

    def watch(
        self, exchange: str, symbol: str, stored: list[Candle], recent: Callable[[], Iterable[Bar]] = tuple
    ) -> None:
        """Keep a series from now on. ``stored`` are its latest bars in the database.

        They reach back further than those of an earlier chart if this one shows longer bars. Of ``recent``, what was
        read of the series before, those later than the stored ones are kept.
        """
        newest = stored[-1].ts if stored else -TS_MAX
        with self._lock:  # a record that is read meanwhile is one of the recent ones, or is put afterwards
            series = self._series.setdefault(series_key(exchange, symbol).encode(), _LiveSeries())
            series.watchers += 1
            received, series.bars = series.bars, BarColumns(KEPT_BARS)  # appended in order: an insertion moves all
            for candle in stored:
                self._upsert(series, candle, closed=True)
            for candle in received.between(0, TS_MAX):
                series.bars.upsert(candle.ts, (*candle.prices, candle.volume))
            for bar in recent():
                if bar.ts > newest:
                    self._upsert(series, _candle(bar), closed=bar.closed)

    def watches(self, key: bytes) -> bool:
        """Whether a chart shows the series of this key."""
        with self._lock:
            return key in self._series

    def unwatch(self, exchange: str, symbol: str) -> None:
        """Count one chart less. The bars are dropped with the last one."""
        key = series_key(exchange, symbol).encode()
        with self._lock:
            series = self._series[key]
            series.watchers -= 1
            if not series.watchers:
                del self._series[key]

    def put(self, key: bytes, bar: Bar) -> bool:
        """Take a bar of this length; returns whether a watched series changed."""
        with self._lock:
            series = self._series.get(key)
            return series is not None and self._upsert(series, _candle(bar), closed=bar.closed)

    def _upsert(self, series: _LiveSeries, candle: Candle, *, closed: bool) -> bool:
        if not closed and candle.ts < series.closed_until:
            return False  # an update of a bar that has closed since
        values = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        newest = series.bars.last_open_before(TS_MAX)
        if newest is not None and candle.ts < newest and not series.bars.has(candle.ts, values):
            series.late.note(candle.ts)
        series.bars.upsert(candle.ts, values)
        if closed:
            series.closed_until = max(series.closed_until, self.base.close_of(candle.ts))
        return True

    def base_bars(self, exchange: str, symbol: str, start: int, end: int) -> list[Candle]:
        """The bars that open in [start, end), the one under way too; none if unwatched."""
        with self._lock:
            series = self._series.get(series_key(exchange, symbol).encode())
            if series is None:
                return []
            return aggregate(series.bars.between(start, end), self.base, series.closed_until)

    def bars_since(self, exchange: str, symbol: str, length: BarLength, since: int | None, until: int) -> list[Candle]:
        """The bars that open at ``since`` or later, made of what closed by ``until``; for None the newest.

        An unclosed bar of the base is shown where ``until`` is later than the last closed one's end.
        """
        with self._lock:
            series = self._series.get(series_key(exchange, symbol).encode())
            if series is None:
                return []
            closed_until = min(series.closed_until, until)
            end = min(self.base.close_of(series.closed_until), until - self.base.ms + 1)
            if since is None:
                last = series.bars.last_open_before(end)
                since = 0 if last is None else length.open_of(last)
            return aggregate(series.bars.between(since, end), length, closed_until)

    def first_open(self, exchange: str, symbol: str, length: BarLength) -> int:
        """The open of the first bar of a length that is made of all its bars."""
        with self._lock:
            series = self._series.get(series_key(exchange, symbol).encode())
            first = None if series is None else next(series.bars.between(0, TS_MAX), None)
        return 0 if first is None else length.first_open(first.ts)

    def late_after(self, exchange: str, symbol: str, number: int) -> tuple[int, list[int] | None]:
        """The number of the latest late bar, and the opens of those after ``number``, as ``LateBars.after``."""
        with self._lock:
            series = self._series.get(series_key(exchange, symbol).encode())
            return (number, []) if series is None else (series.late.number, series.late.after(number))


class LiveMarket:
    """Bars of ``market.bars``, including unclosed ones and without those of replays, by length.

    Of a series those lengths are kept that its charts are made of.
    """

    def __init__(self) -> None:
        self._lengths: dict[str, LiveBars] = {}
        self._recent: deque[tuple[bytes, MessageHeaders, bytes]] = deque(maxlen=RECENT_RECORDS)
        self._lock = threading.Lock()

    def watch(self, base: BarLength, exchange: str, symbol: str, stored: list[Candle]) -> LiveBars:
        """Keep a series from now on, as ``LiveBars.watch``; returns the bars of its length."""
        found = self.of(base)
        found.watch(exchange, symbol, stored, lambda: self._recent_of(series_key(exchange, symbol).encode(), base))
        return found

    def _recent_of(self, key: bytes, base: BarLength) -> Iterator[Bar]:
        """The bars of a series that were read last, as far as they are valid."""
        for _, headers, value in [each for each in list(self._recent) if each[0] == key]:
            with contextlib.suppress(InvalidInput, msgspec.DecodeError):
                if not origin_of(headers).streamed and (bar := _checked_bar(value)).interval == base.interval:
                    yield bar

    def of(self, base: BarLength) -> LiveBars:
        """The bars of a length."""
        with self._lock:
            return self._lengths.setdefault(base.interval, LiveBars(base))

    @property
    def watchers(self) -> int:
        """The number of charts that show live bars."""
        return sum(each.watchers for each in self._all())

    def apply(self, key: bytes | None, headers: MessageHeaders, value: bytes) -> bool:
        """Apply a record; returns whether a watched series changed.

        Raises InvalidInput and msgspec.DecodeError for an invalid record.
        """
        if key is None:
            return False
        self._recent.append((key, headers, value))
        if not any(each.watches(key) for each in self._all()) or origin_of(headers).streamed:
            return False
        bar = _checked_bar(value)
        bars = self._lengths.get(bar.interval)
        return bars is not None and bars.put(key, bar)

    def _all(self) -> list[LiveBars]:
        with self._lock:
            return list(self._lengths.values())


def _checked_bar(value: bytes) -> Bar:
    """The bar of a record. Raises InvalidInput and msgspec.DecodeError."""
    bar = decode_bar(value)
    if problem := bar_problem(bar):
        raise InvalidInput(problem)
    if not abs(bar.ts) <= TS_MAX:
        raise InvalidInput(f"ts: got {described_ms(bar.ts)}, expected milliseconds up to {described_ms(TS_MAX)}")
    return bar


def _candle(bar: Bar) -> Candle:
    return Candle(bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume)
