"""The channels of trades, tickers and points."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Generic, TypeAlias, TypeVar

import msgspec

from tapedeck_common.market import RECORDED_PREFIX, Point, Ticker, Trade
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.push.channel import Channel
from tapedeck_gateway.push.protocol.messages import (
    PointItem,
    PointsMessage,
    TickerItem,
    TickersMessage,
    TradeItem,
    TradesMessage,
)
from tapedeck_gateway.push.protocol.requests import SNAPSHOT_MAX
from tapedeck_gateway.topics.live_records import LiveRecords, MarketRecord, RecordSeries
from tapedeck_gateway.topics.points_view import EpochPoint, PointsView, known_at
from tapedeck_gateway.topics.replay_view import ReplayView

T = TypeVar("T")
Messages: TypeAlias = list[msgspec.Struct]


class RecordChannel(Channel, Generic[T]):
    """Publishes records, and keeps the last SNAPSHOT_MAX of them for snapshots."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._published: deque[T] = deque(maxlen=SNAPSHOT_MAX)

    @abstractmethod
    def messages(self, records: Sequence[T], missed: int, snapshot: bool) -> Messages:
        """The messages that hold the records; a snapshot has one at least."""

    def state(self, count: int) -> Messages:
        return self.messages(list(self._published)[-count:], 0, True)

    def publish_records(self, records: Sequence[T], missed: int) -> None:
        """Publish records, of which ``missed`` before them are not known any more."""
        if not records and not missed:
            return
        self._published.extend(records)
        if missed or len(records) <= SNAPSHOT_MAX:
            for message in self.messages(records, missed, False):
                self.publish(message)
        else:
            self.publish_snapshots()

    def replace_records(self, records: Sequence[T]) -> None:
        """Begin again with these."""
        self._published.clear()
        self._published.extend(records)


class MarketRecordChannel(RecordChannel[MarketRecord]):
    """A series of the live market. ``stored`` loads its latest records up to an event time."""

    def __init__(
        self,
        name: str,
        records: LiveRecords,
        series: RecordSeries,
        limits: FutureLimits,
        stored: Callable[[int], Sequence[MarketRecord]],
    ) -> None:
        super().__init__(name)
        self.changed_by = frozenset({series.topic})
        self._records, self._series, self._limits, self._stored = records, series, limits, stored
        self._until = limits.of_market(series.exchange)
        self._next: tuple[int, Sequence[MarketRecord] | None] | None = None  # as ``poll`` found it, until the next push
        if records.watch(series):
            try:
                records.fill(series, stored(self._until))
            except BaseException:
                records.unwatch(series)
                raise
        self._number, found, _ = records.after(series, 0, self._until)
        self.replace_records(found)

    def close(self) -> None:
        self._records.unwatch(self._series)

    def push(self) -> None:
        stored: Sequence[MarketRecord] | None = None
        if self._next is not None:
            (self._until, stored), self._next = self._next, None
        if stored is not None:
            self._records.fill(self._series, stored, replace=True)
            self._number, found, _ = self._records.after(self._series, 0, self._until)
            self.replace_records(found)
            self.restart("seek")
            return
        self._number, found, missed = self._records.after(self._series, self._number, self._until)
        self.publish_records(found, missed)

    @property
    def must_poll(self) -> bool:
        """A replay records this market: its position is the limit."""
        return self._series.exchange.startswith(RECORDED_PREFIX) and not self._limits.future

    def poll(self) -> bool:
        until = self._limits.of_market(self._series.exchange)
        if until == self._until:
            return False
        self._next = (until, self._stored(until) if until < self._until else None)
        return True


class MarketTradeChannel(MarketRecordChannel):
    """Trades of the market."""

    def messages(self, records: Sequence[MarketRecord], missed: int, snapshot: bool) -> Messages:
        items = [_trade(record) for record in records if isinstance(record, Trade)]
        return [TradesMessage(items, missed, snapshot)]


class TickerChannel(MarketRecordChannel):
    """Tickers of the market: of several at once the newest."""

    def messages(self, records: Sequence[MarketRecord], missed: int, snapshot: bool) -> Messages:
        items = [_ticker(record) for record in records if isinstance(record, Ticker)]
        return [TickersMessage(items if snapshot else items[-1:], snapshot)]

    def publish_records(self, records: Sequence[MarketRecord], missed: int) -> None:
        self._published.extend(records)
        for message in self.messages(records, 0, False) if records else ():
            self.publish(message, "ticker")


class MarketPointChannel(MarketRecordChannel):
    """Results of a transform of the market."""

    def messages(self, records: Sequence[MarketRecord], missed: int, snapshot: bool) -> Messages:
        return _point_messages([record for record in records if isinstance(record, Point)], missed, snapshot)


class ReplayTradeChannel(RecordChannel[Trade]):
    """Trades of a replay, up to its position."""

    def __init__(self, name: str, view: ReplayView, symbol: ChartSymbol) -> None:
        super().__init__(name)
        self.changed_by = frozenset({view.uid})
        self._view, self._symbol = view, symbol
        self._number = 0
        view.watch()
        self._restart_reading()

    def close(self) -> None:
        self._view.unwatch()

    def messages(self, records: Sequence[Trade], missed: int, snapshot: bool) -> Messages:
        return [TradesMessage([_trade(record) for record in records], missed, snapshot)]

    def push(self) -> None:
        if self._view.generation != self._generation:
            self._restart_reading()
            self.restart(self._view.jumped_by)
            return
        self._number, found, missed = self._view.trades_after(self._symbol.exchange, self._symbol.symbol, self._number)
        self.publish_records(found, missed)

    def _restart_reading(self) -> None:
        self._generation = self._view.generation
        self._number, found = self._view.latest_trades(self._symbol.exchange, self._symbol.symbol, SNAPSHOT_MAX)
        self.replace_records(found)


class ReplayPointChannel(RecordChannel[Point]):
    """Results of a transform of a replay, up to its position.

    A result that is known later than the position is held back until then; one of an epoch that a seek ended before
    that is dropped.
    """

    def __init__(self, name: str, view: ReplayView, points: PointsView, symbol: ChartSymbol) -> None:
        super().__init__(name)
        self.changed_by = frozenset({view.uid})
        self._view, self._points, self._symbol = view, points, symbol
        self._held: deque[EpochPoint] = deque(maxlen=SNAPSHOT_MAX)
        self._number = 0
        view.watch()
        points.watch()
        points.follow(symbol)
        self._restart_reading()

    def close(self) -> None:
        self._view.unwatch()
        self._points.unwatch()
        self._points.unfollow(self._symbol)

    def messages(self, records: Sequence[Point], missed: int, snapshot: bool) -> Messages:
        return _point_messages(records, missed, snapshot)

    def push(self) -> None:
        if self._view.generation != self._generation:
            self._restart_reading()
            self.restart(self._view.jumped_by)
            return
        self._number, arrived, missed = self._points.arrived_after(self._symbol, self._number)
        waiting, self._held = [*self._held, *arrived], deque(maxlen=SNAPSHOT_MAX)
        released: list[Point] = []
        for each in waiting:
            if known_at(each.point) <= self._view.valid_until(each.epoch):
                released.append(each.point)
            elif each.epoch >= self._view.epoch:
                self._held.append(each)
        self.publish_records(released, missed)

    def _restart_reading(self) -> None:
        """Take what is known by now; results that have arrived before it is read again replace themselves."""
        self._generation = self._view.generation
        self._held.clear()
        self._number, _, _ = self._points.arrived_after(self._symbol, 0)
        self.replace_records(self._points.valid_points(self._symbol, self._view.valid_until, SNAPSHOT_MAX))


def _trade(trade: Trade) -> TradeItem:
    return TradeItem(trade.ts, trade.id, trade.price, trade.amount, trade.side)


def _ticker(ticker: Ticker) -> TickerItem:
    return TickerItem(ticker.ts, ticker.price, ticker.volume24h, ticker.high24h, ticker.low24h, ticker.bid, ticker.ask)


def _point_messages(points: Sequence[Point], missed: int, snapshot: bool) -> Messages:
    """One message for each stretch of points of one interval."""
    stretches = [(interval, list(stretch)) for interval, stretch in groupby(points, key=lambda point: point.interval)]
    messages: Messages = []
    for interval, stretch in stretches or [("", [])]:
        items = [
            PointItem(point.ts, point.value, point.id, point.open, point.high, point.low, point.volume)
            for point in stretch
        ]
        first = not messages  # the first replaces, the others continue
        messages.append(PointsMessage(interval, items, missed if first else 0, snapshot and first))
    return messages
