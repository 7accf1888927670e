"""Results of a replay's transforms as their topic has them: the last result of each time, of bars or of trades."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tapedeck_common.market import Point, TradeKey, trade_id_key
from tapedeck_common.wire import Epoch, MessageHeaders, decode_point, origin_of
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.topics.control_records import LATEST
from tapedeck_gateway.topics.record_ring import RecordRing
from tapedeck_gateway.topics.topic_view import TopicView

SERIES_POINTS = 20_000
EVICT_POINTS = 1_000
ARRIVED_POINTS = 2_000


@dataclass(frozen=True)
class _Result:
    """A result and the epoch that it was computed in. ``order`` is that of trades, ``known`` its event time."""

    order: TradeKey
    epoch: Epoch
    known: int
    point: Point
    candle: Candle


@dataclass(frozen=True)
class EpochPoint:
    """A result as it arrived, with the epoch that it was computed in."""

    point: Point
    epoch: Epoch

    @property
    def identity(self) -> tuple[object, ...]:
        """What a repeat has in common with it."""
        point = self.point
        return (self.epoch, point.interval, point.ts, point.id, point.rev, point.value)


_Results: TypeAlias = dict[tuple[int, str], _Result]
"""By time and, for results of trades, the trade's id."""


class PointsView(TopicView):
    """The latest results of each series. The topic reader's thread updates it, other threads read it."""

    def __init__(self, uid: str, partitions: int) -> None:
        super().__init__(uid, partitions)
        self._series: dict[tuple[str, str, str], dict[str, _Results]] = {}
        self._arrived: dict[tuple[str, str, str], RecordRing[EpochPoint]] = {}  # of followed series
        self._followers: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()

    def apply(self, partition: int, headers: MessageHeaders, value: bytes) -> bool:
        """Apply a result. Raises InvalidInput and msgspec.DecodeError for an invalid record."""
        origin = origin_of(headers)
        if origin.replay_uid != self.uid:
            raise InvalidInput(f"header td: got replay {origin.replay_uid!r}, expected {self.uid!r}")
        point, epoch = decode_point(value), Epoch.parse(origin.epoch)
        if point.interval and point.interval not in BAR_LENGTHS:
            raise InvalidInput(f"interval: got {point.interval!r}, expected one of {', '.join(BAR_LENGTHS)}")
        with self._lock:
            intervals = self._series.setdefault((point.exchange, point.symbol, point.series), {})
            self._put(intervals.setdefault(point.interval, {}), point, epoch)
            arrived = self._arrived.get((point.exchange, point.symbol, point.series))
            return arrived is not None and arrived.append(EpochPoint(point, epoch))

    def valid_points(self, symbol: ChartSymbol, valid_until: Callable[[Epoch], int], count: int) -> list[Point]:
        """The last ``count`` results of each interval, in order; ``valid_until`` as in ``candles``."""
        with self._lock:
            intervals = self._series.get((symbol.exchange, symbol.symbol, symbol.series), {})
            of_intervals = [sorted(results.values(), key=lambda each: each.order) for results in intervals.values()]
        return [
            each.point
            for ordered in of_intervals
            for each in [each for each in ordered if each.known <= valid_until(each.epoch)][-count:]
        ]

    def follow(self, symbol: ChartSymbol) -> None:
        """Keep the results of a series that arrive from now on, until as many calls of ``unfollow``."""
        key = (symbol.exchange, symbol.symbol, symbol.series)
        with self._lock:
            self._followers[key] += 1
            if key not in self._arrived:
                self._arrived[key] = RecordRing(
                    ARRIVED_POINTS, identity=lambda each: each.identity, known_at=lambda each: each.point.ts
                )

    def unfollow(self, symbol: ChartSymbol) -> None:
        """Count one follower less. What arrived is dropped with the last one."""
        key = (symbol.exchange, symbol.symbol, symbol.series)
        with self._lock:
            self._followers[key] -= 1
            if not self._followers[key]:
                del self._followers[key], self._arrived[key]

    def arrived_after(self, symbol: ChartSymbol, number: int) -> tuple[int, list[EpochPoint], int]:
        """The results of a followed series that arrived after the one of this number, as ``RecordRing.after``."""
        with self._lock:
            return self._arrived[symbol.exchange, symbol.symbol, symbol.series].after(number, LATEST)

    def _put(self, results: _Results, point: Point, epoch: Epoch) -> None:
        key = (point.ts, point.id)
        if point.value is None:
            results.pop(key, None)
            return
        results[key] = _Result(_order(point), epoch, known_at(point), point, _candle(point, point.value))
        if len(results) > SERIES_POINTS + EVICT_POINTS:
            for oldest in sorted(results, key=lambda key: results[key].order)[:EVICT_POINTS]:
                del results[oldest]

    def intervals_of(self, symbol: ChartSymbol) -> list[str]:
        """The intervals of a series, of which empty text stands for results of trades; none for an unknown series."""
        with self._lock:
            return list(self._series.get((symbol.exchange, symbol.symbol, symbol.series), ()))

    def candles(
        self, symbol: ChartSymbol, interval: str, valid_until: Callable[[Epoch], int], since: int = 0
    ) -> list[Candle]:
        """The results at ``since`` or later in order, without those known later than their epoch's ``valid_until``."""
        return [result.candle for result in self._valid(symbol, interval, valid_until, since)]

    def points(self, symbol: ChartSymbol, interval: str, valid_until: Callable[[Epoch], int]) -> list[Point]:
        """The same results as they were published."""
        return [result.point for result in self._valid(symbol, interval, valid_until)]

    def _valid(
        self, symbol: ChartSymbol, interval: str, valid_until: Callable[[Epoch], int], since: int = 0
    ) -> list[_Result]:
        with self._lock:
            results = self._series.get((symbol.exchange, symbol.symbol, symbol.series), {}).get(interval, {})
            chosen = [result for result in results.values() if result.point.ts >= since]
        ordered = sorted(chosen, key=lambda result: result.order)
        return [result for result in ordered if result.known <= valid_until(result.epoch)]


def _order(point: Point) -> TradeKey:
    return (point.ts, point.seq, *trade_id_key(point.id))


def known_at(point: Point) -> int:
    """The event time of a result: the close of its bar, or the time of its trade."""
    return BAR_LENGTHS[point.interval].close_of(point.ts) if point.interval else point.ts


def _candle(point: Point, value: float) -> Candle:
    opened, high, low = (value if price is None else price for price in (point.open, point.high, point.low))
    return Candle(point.ts, opened, high, low, value, point.volume or 0.0)
