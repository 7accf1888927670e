"""A replay as its topic shows it: bars up to the committed watermark of the current epoch, and none beyond it.

A replay of trades is shown as bars of the replay's interval.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import msgspec

from tapedeck_common.market import Bar, Trade, event_time
from tapedeck_common.wire import (
    Epoch,
    EpochStart,
    MessageHeaders,
    ReplayEnd,
    ReplayStart,
    Watermark,
    decode_bar,
    decode_control,
    decode_trade,
    origin_of,
)
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.bar_columns import BarColumns, Candle, aggregate
from tapedeck_gateway.charts.resolutions import BASE
from tapedeck_gateway.topics.topic_view import TopicView

SERIES_BARS = 20_000
VIEW_BARS = 1_000_000  # of all series together
PENDING_RECORDS = 50_000  # of one partition that is ahead of the others


@dataclass
class _PartitionState:
    """How far one partition is read. ``pending`` are records after the lowest watermark of all partitions."""

    epoch: Epoch = field(default_factory=Epoch)
    watermark: int | None = None
    pending: deque[Bar | Trade] = field(default_factory=deque)
    published: int = 0
    ended: bool = False


class ReplayView(TopicView):
    """The state of one replay. The topic reader's thread updates it, other threads read it.

    ``position`` is the virtual time up to which all partitions are complete. ``generation`` counts seeks and loops:
    a client that has drawn bars of an earlier generation must load them again. ``complete_from`` is the event time from
    which on the view has every bar up to the position.
    """

    def __init__(self, uid: str, partitions: int) -> None:
        super().__init__(uid, partitions)
        self.generation = 0
        self.start: ReplayStart | None = None
        self.epoch = Epoch()
        self.complete_from = 0
        self.position: int | None = None
        self._partitions = [_PartitionState() for _ in range(partitions)]
        self._series: dict[tuple[str, str], BarColumns] = {}
        self._lock = threading.Lock()
        self._epoch_starts: list[tuple[Epoch, int]] = []  # both rise: what a later epoch took back is no limit

    @property
    def length(self) -> BarLength:
        """The length of the replay's bars; one minute until its start record is read."""
        return BAR_LENGTHS[self.start.interval] if self.start else BASE

    @property
    def plays_trades(self) -> bool:
        """Whether the replay plays trades instead of bars."""
        return self.start is not None and self.start.channel == "trades"

    @property
    def plays_stored_bars(self) -> bool:
        """Whether the replay plays bars of the store unaltered, so that earlier bars can be taken from there."""
        if self.start is None:
            return False
        spec = msgspec.json.decode(self.start.spec)
        return bool((spec.get("source") or {}).get("store")) and not spec.get("scenario")

    @property
    def ended(self) -> bool:
        """Whether every partition has its end record."""
        return all(p.ended for p in self._partitions)

    @property
    def published(self) -> int:
        """The number of bars on the topic, by the last watermarks."""
        return sum(p.published for p in self._partitions)

    def is_ahead(self, partition: int) -> bool:
        """Whether the partition holds so many pending records that reading it must be paused."""
        return len(self._partitions[partition].pending) >= PENDING_RECORDS and len(self._partitions) > 1

    def apply(self, partition: int, headers: MessageHeaders, value: bytes) -> bool:
        """Apply a record; returns whether a chart may have changed. Raises ValueError for an invalid record."""
        origin = origin_of(headers)
        if origin.replay_uid != self.uid:
            raise InvalidInput(f"header td: got replay {origin.replay_uid!r}, expected {self.uid!r}")
        with self._lock:
            if origin.control:
                return self._apply_control(self._partitions[partition], value)
            if Epoch.parse(origin.epoch) >= self.epoch:
                record = decode_trade(value) if self.plays_trades else decode_bar(value)
                self._partitions[partition].pending.append(record)
            return False

    def _apply_control(self, partition: _PartitionState, value: bytes) -> bool:
        match decode_control(value):
            case ReplayStart() as start:
                self.start = self.start or start
                self.complete_from = self.complete_from or start.range_from
                return False
            case EpochStart(epoch=text, v=v):
                return self._start_epoch(partition, Epoch.parse(text), v)
            case (
                Watermark(epoch=text, v=v, published=published)
                | ReplayEnd(epoch=text, v=v, published=published) as record
            ):
                epoch = Epoch.parse(text)
                if epoch > self.epoch and self._series:
                    raise InvalidInput(f"epoch: got {text} without its epoch record, expected {self.epoch}")
                self.epoch = max(self.epoch, epoch)
                partition.epoch, partition.published = epoch, published
                partition.watermark = v
                partition.ended = isinstance(record, ReplayEnd)
        return self._advance()

    def _start_epoch(self, partition: _PartitionState, epoch: Epoch, v: int) -> bool:
        """A seek or a loop to virtual time ``v``."""
        partition.epoch, partition.watermark, partition.ended = epoch, v, False
        if epoch <= self.epoch:
            return self._advance()
        # Committed records stay valid up to the new position, even where a slower partition still held them back.
        if self.position is None or v > self.position or v < self.complete_from:
            self.complete_from = v
        if self.plays_trades:  # the bar at the new position has only the trades after it, so it is incomplete
            self.complete_from = self.length.first_open(v)
        self.epoch, self.position = epoch, v
        self.generation += 1
        self._epoch_starts = [*(each for each in self._epoch_starts if each[1] < v), (epoch, v)]
        for each in self._partitions:
            if each.epoch < epoch:
                each.pending.clear()
        partition.pending.clear()
        for series in self._series.values():
            series.truncate(self.length.open_of(v))
        return True

    def _advance(self) -> bool:
        """Move the position to the lowest watermark of all partitions; returns whether it moved or the replay ended."""
        of_epoch = [p.watermark for p in self._partitions if p.epoch == self.epoch]
        watermarks = [watermark for watermark in of_epoch if watermark is not None]
        if len(watermarks) < len(self._partitions):
            return False
        lowest = min(watermarks)
        for partition in self._partitions:
            while partition.pending and _event_time(partition.pending[0]) <= lowest:
                self._add(partition.pending.popleft())
        moved = self.position is None or lowest > self.position
        self.position = lowest if self.position is None else max(lowest, self.position)
        return moved or self.ended

    def _add(self, record: Bar | Trade) -> None:
        key = (record.exchange, record.symbol)
        series = self._series.get(key)
        if series is None:
            symbols = max(len(self.start.symbols) if self.start else 1, 1)
            series = self._series[key] = BarColumns(max(500, min(SERIES_BARS, VIEW_BARS // symbols)))
        if isinstance(record, Trade):
            oldest = series.add_trade(self.length.open_of(record.ts), record.price, record.amount)
        else:
            oldest = series.upsert(record.ts, (record.open, record.high, record.low, record.close, record.volume))
        if oldest is not None:
            self.complete_from = max(self.complete_from, oldest)

    def valid_until(self, epoch: Epoch) -> int:
        """The last event time of this epoch's records that no later epoch took back, and not beyond the position."""
        starts = [v for started, v in self._epoch_starts if started > epoch]
        return min([*starts, self.position or 0])

    def base_bars(self, exchange: str, symbol: str, start: int, end: int) -> list[Candle]:
        """The replay's own bars with open in [start, end), up to the position."""
        with self._lock:
            series = self._series.get((exchange, symbol))
            return list(series.between(start, end)) if series else []

    def bars_since(self, exchange: str, symbol: str, length: BarLength, since: int | None) -> tuple[int, list[Candle]]:
        """The generation, and the bars of a length that open at ``since`` or later; for None the newest alone."""
        with self._lock:
            series = self._series.get((exchange, symbol))
            if series is None or self.position is None:
                return self.generation, []
            if since is None:
                last = series.last_open_before(self.position)
                since = 0 if last is None else length.open_of(last)
            return self.generation, aggregate(series.between(since, self.position), length, self.position)


def _event_time(record: Bar | Trade) -> int:
    return record.ts if isinstance(record, Trade) else event_time(record)
