"""Results of a replay's transforms as their topic has them: the last result of each time, of bars or of trades."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tapedeck_common.market import Point, TradeKey, trade_id_key
from tapedeck_common.wire import Epoch, MessageHeaders, decode_point, origin_of
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.topics.topic_view import TopicView

SERIES_POINTS = 20_000
EVICT_POINTS = 1_000


@dataclass(frozen=True)
class _Result:
    """A result and the epoch that it was computed in. ``order`` is that of trades, ``known`` its event time."""

    order: TradeKey
    epoch: Epoch
    known: int
    candle: Candle


_Results: TypeAlias = dict[tuple[int, str], _Result]
"""By time and, for results of trades, the trade's id."""


class PointsView(TopicView):
    """The latest results of each series. The topic reader's thread updates it, other threads read it."""

    def __init__(self, uid: str, partitions: int) -> None:
        super().__init__(uid, partitions)
        self._series: dict[tuple[str, str, str], dict[str, _Results]] = {}
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
        return False

    def _put(self, results: _Results, point: Point, epoch: Epoch) -> None:
        key = (point.ts, point.id)
        if point.value is None:
            results.pop(key, None)
            return
        results[key] = _Result(_order(point), epoch, _known_at(point), _candle(point, point.value))
        if len(results) > SERIES_POINTS + EVICT_POINTS:
            for oldest in sorted(results, key=lambda key: results[key].order)[:EVICT_POINTS]:
                del results[oldest]

    def intervals_of(self, symbol: ChartSymbol) -> list[str]:
        """The intervals of a series, of which empty text stands for results of trades; none for an unknown series."""
        with self._lock:
            return list(self._series.get((symbol.exchange, symbol.symbol, symbol.series), ()))

    def candles(self, symbol: ChartSymbol, interval: str, valid_until: Callable[[Epoch], int]) -> list[Candle]:
        """The results in order, without those of an epoch that are known later than its ``valid_until``."""
        with self._lock:
            results = self._series.get((symbol.exchange, symbol.symbol, symbol.series), {}).get(interval, {})
            ordered = sorted(results.values(), key=lambda result: result.order)
        return [result.candle for result in ordered if result.known <= valid_until(result.epoch)]


def _order(point: Point) -> TradeKey:
    return (point.ts, point.seq, *trade_id_key(point.id))


def _known_at(point: Point) -> int:
    """The event time of a result: the close of its bar, or the time of its trade."""
    return BAR_LENGTHS[point.interval].close_of(point.ts) if point.interval else point.ts


def _candle(point: Point, value: float) -> Candle:
    opened, high, low = (value if price is None else price for price in (point.open, point.high, point.low))
    return Candle(point.ts, opened, high, low, value, point.volume or 0.0)
