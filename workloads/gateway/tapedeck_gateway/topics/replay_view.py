"""A replay as its topic shows it: bars up to the committed watermark of the current epoch, and none beyond it.

A replay of trades is shown as bars of the replay's interval.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import msgspec

from tapedeck_common.market import Bar, Trade, event_time, trade_key
from tapedeck_common.speed_meter import SpeedMeter
from tapedeck_common.wire import (
    ClockState,
    Epoch,
    EpochStart,
    MessageHeaders,
    ReplayEnd,
    ReplayStart,
    Watermark,
    decode_bar,
    decode_trade,
    origin_of,
)
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.bar_columns import BarColumns, Candle, aggregate
from tapedeck_gateway.charts.late_bars import LateBars
from tapedeck_gateway.charts.resolutions import BASE
from tapedeck_gateway.topics.complete_spans import CompleteSpans
from tapedeck_gateway.topics.control_records import LATEST, control_record, played_spec
from tapedeck_gateway.topics.record_ring import RecordRing
from tapedeck_gateway.topics.topic_view import TopicView

SERIES_BARS = 20_000
VIEW_BARS = 1_000_000  # of all series together
SERIES_TRADES = 1_000
VIEW_TRADES = 100_000
JUMPS_MAX = 1_000  # seeks and loops that are remembered
PENDING_RECORDS = 50_000  # of one partition that is ahead of the others


@dataclass(frozen=True)
class StoredPart:
    """What the store has of a bar before ``until``, as one bar; no bar where it has nothing."""

    until: int
    bars: list[Candle]


@dataclass(frozen=True)
class Jump:
    """A seek, or the begin of another round of a loop: the epoch that it started, and its virtual time."""

    epoch: Epoch
    v: int
    reason: Literal["seek", "loop"]


@dataclass
class _PartitionState:
    """How far one partition is read. ``pending`` are records after the lowest watermark of all partitions."""

    epoch: Epoch = field(default_factory=Epoch)
    watermark: int | None = None
    pending: deque[Bar | Trade] = field(default_factory=deque)
    published: int = 0
    ended: bool = False
    clock: ClockState | None = None


class ReplayView(TopicView):
    """The state of one replay. The topic reader's thread updates it, other threads read it.

    ``position`` is the virtual time up to which all partitions are complete. ``generation`` counts seeks and loops:
    a client that has drawn bars of an earlier generation must load them again, and ``jumped_by`` is which of the two
    came last. ``plays_stored_bars`` is whether the replay plays bars of the store unaltered, so that earlier bars can
    be taken from there.
    """

    def __init__(self, uid: str, partitions: int) -> None:
        super().__init__(uid, partitions)
        self.generation = 0
        self.start: ReplayStart | None = None
        self.epoch = Epoch()
        self.position: int | None = None
        self.plays_stored_bars = False
        self._meter = SpeedMeter()
        self._spans = CompleteSpans()
        self._partitions = [_PartitionState() for _ in range(partitions)]
        self._series: dict[tuple[str, str], BarColumns] = {}
        self._late: defaultdict[tuple[str, str], LateBars] = defaultdict(LateBars)
        self._trades: dict[tuple[str, str], RecordRing[Trade]] = {}
        self._lock = threading.Lock()
        self.jumps: deque[Jump] = deque(maxlen=JUMPS_MAX)
        self._epoch_starts: list[tuple[Epoch, int]] = []  # both rise: what a later epoch took back is no limit

    @property
    def jumped_by(self) -> Literal["seek", "loop"]:
        """Which of the two the generation counted last."""
        return self.jumps[-1].reason if self.jumps else "seek"

    @property
    def length(self) -> BarLength:
        """The length of the replay's bars; one minute until its start record is read."""
        return BAR_LENGTHS[self.start.interval] if self.start else BASE

    @property
    def plays_trades(self) -> bool:
        """Whether the replay plays trades instead of bars."""
        return self.start is not None and self.start.channel == "trades"

    def stored_length(self, symbol: str) -> BarLength:
        """The length of the stored bars that the symbol's are made of, in a replay of stored bars."""
        return BAR_LENGTHS[self.start.built_from.get(symbol, self.start.interval)] if self.start else BASE

    @property
    def complete_from(self) -> int:
        """The open from which on the view has every bar up to the position."""
        return self._spans.start

    @property
    def topic_start(self) -> int:
        """The open of the first bar that charts take from the topic: earlier ones come from the store, if they can."""
        return self.length.open_of(min(self.complete_from, self.position or 0)) if self.plays_stored_bars else 0

    def progress(self) -> tuple[int | None, Epoch, int | None, bool]:
        """Position, epoch, the virtual time at which it began (None before the first seek), and whether all ended."""
        with self._lock:
            return self.position, self.epoch, self._epoch_starts[-1][1] if self._epoch_starts else None, self.ended

    @property
    def ended(self) -> bool:
        """Whether every partition has its end record."""
        return all(p.ended for p in self._partitions)

    def measured_speed(self) -> float:
        """Virtual seconds per second over the last seconds; 0 while the replay stands still, and after its end."""
        with self._lock:
            return 0.0 if self.ended else self._meter.speed(time.monotonic())

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
        match control_record(value):
            case ReplayStart() as start:
                if self.start is None:
                    self._begin(start)
                return False
            case EpochStart(epoch=text, v=v, reason=reason):
                return self._start_epoch(partition, Jump(Epoch.parse(text), v, reason))
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
                if isinstance(record, Watermark):
                    partition.clock = record.clock
        return self._advance()

    def _begin(self, start: ReplayStart) -> None:
        self.start = start
        self.plays_stored_bars = played_spec(start).plays_stored_bars
        self._spans.begin(self.length.open_of(start.range_from))

    def _start_epoch(self, partition: _PartitionState, jump: Jump) -> bool:
        epoch, v = jump.epoch, jump.v
        partition.epoch, partition.watermark, partition.ended = epoch, v, False
        if epoch <= self.epoch:
            return self._advance()
        # Committed records stay valid up to the new position, even where a slower partition still held them back.
        at = self.length.open_of(v)  # of trades this bar has only those after the new position, so it is incomplete
        self._spans.seek(at, self.length.first_open(v) if self.plays_trades else at)
        self.epoch, self.position = epoch, v
        self.generation += 1
        self.jumps.append(jump)
        self._meter.clear()
        self._epoch_starts = [*(each for each in self._epoch_starts if each[1] < v), (epoch, v)]
        for each in self._partitions:
            if each.epoch < epoch:
                each.pending.clear()
        partition.pending.clear()
        for series in self._series.values():
            series.truncate(at)
        for trades in self._trades.values():
            trades.keep_until(v)
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
        self._spans.reach(self.position)
        if self.caught_up:  # what the topic had before tells nothing of the replay's speed
            self._meter.note(time.monotonic(), self.position)
        return moved or self.ended

    def _add(self, record: Bar | Trade) -> None:
        key = (record.exchange, record.symbol)
        series = self._series.get(key)
        if series is None:
            symbols = max(len(self.start.symbols) if self.start else 1, 1)
            series = self._series[key] = BarColumns(max(500, min(SERIES_BARS, VIEW_BARS // symbols)))
        if isinstance(record, Trade):
            oldest = series.add_trade(self.length.open_of(record.ts), record.price, record.amount)
            self._trades_of(key).append(record)
        else:
            newest = series.last_open_before(LATEST)
            if newest is not None and record.ts < newest and not series.has(record.ts, _values(record)):
                self._late[key].note(record.ts)
            oldest = series.upsert(record.ts, _values(record))
        if oldest is not None:
            self._spans.drop_before(oldest)

    def _trades_of(self, key: tuple[str, str]) -> RecordRing[Trade]:
        ring = self._trades.get(key)
        if ring is None:
            symbols = max(len(self.start.symbols) if self.start else 1, 1)
            limit = max(100, min(SERIES_TRADES, VIEW_TRADES // symbols))
            ring = self._trades[key] = RecordRing(limit, identity=trade_key, known_at=_event_time)
        return ring

    def trades_after(self, exchange: str, symbol: str, number: int) -> tuple[int, list[Trade], int]:
        """The trades after the one of this number, up to the position: as ``RecordRing.after``."""
        with self._lock:
            return self._trades_of((exchange, symbol)).after(number, LATEST)

    def latest_trades(self, exchange: str, symbol: str, count: int) -> tuple[int, list[Trade]]:
        """The number of the last trade, and the last ``count`` trades up to the position."""
        with self._lock:
            ring = self._trades_of((exchange, symbol))
            return ring.number, ring.latest(count, LATEST)

    def trades_between(self, exchange: str, symbol: str, start: int, end: int) -> tuple[list[Trade], int]:
        """The trades in [start, end) up to the position, in order, and the time from which on all are known."""
        with self._lock:
            ring = self._trades_of((exchange, symbol))
            known = ring.latest(ring.number, LATEST)
            since = known[0].ts + 1 if known and ring.dropped else 0
        return sorted((each for each in known if start <= each.ts < end), key=trade_key), since

    def late_after(self, exchange: str, symbol: str, number: int) -> tuple[int, list[int] | None]:
        """The number of the latest late bar, and the opens of those after ``number``, as ``LateBars.after``."""
        with self._lock:
            late = self._late[exchange, symbol]
            return late.number, late.after(number)

    @property
    def clock(self) -> ClockState | None:
        """The clock as the last watermarks tell it; ``late_ms`` is that of the latest partition. None before them."""
        clocks = [each.clock for each in self._partitions if each.clock is not None and each.epoch == self.epoch]
        if not clocks:
            return None
        return msgspec.structs.replace(clocks[0], late_ms=max(clock.late_ms for clock in clocks))

    def valid_until(self, epoch: Epoch) -> int:
        """The last event time of this epoch's records that no later epoch took back, and not beyond the position."""
        starts = [v for started, v in self._epoch_starts if started > epoch]
        return min([*starts, self.position or 0])

    def base_bars(self, exchange: str, symbol: str, start: int, end: int) -> list[Candle]:
        """The replay's own bars with open in [start, end), up to the position."""
        with self._lock:
            series = self._series.get((exchange, symbol))
            return list(series.between(start, end)) if series else []

    def first_open(self, exchange: str, symbol: str) -> int | None:
        """The open of the first bar of the replay that the view has; None without any."""
        with self._lock:
            series = self._series.get((exchange, symbol))
            return series.first_open if series else None

    def is_whole(self, opened: int, length: BarLength) -> bool:
        """Whether the topic has all that a bar of this length consists of so far: no seek passed over a part."""
        first = self.length.open_of(self.start.range_from) if self.start else 0
        return self._spans.cover(max(opened, first), min(length.close_of(opened), self.position or 0))

    def bars_since(
        self, exchange: str, symbol: str, length: BarLength, since: int | None, stored: StoredPart | None = None
    ) -> tuple[int, list[Candle]]:
        """The generation, and the bars of a length that open at ``since`` or later; for None the newest alone.

        A bar that the topic has in part is left out; with the part of it that is in the store it is made of both.
        Before that part is there, no bars are returned.
        """
        with self._lock:
            series = self._series.get((exchange, symbol)) or BarColumns(0)
            if self.position is None:
                return self.generation, []
            start = self.topic_start
            begun = length.open_of(start)
            if since is None:
                last = series.last_open_before(self.position)
                since = begun if last is None or last < start else length.open_of(last)
            first = self.complete_from if self.plays_stored_bars else 0
            candles = series.between(max(since, first), self.position)
            if since <= begun < start:
                if stored is None or stored.until != start:
                    return self.generation, []
                candles = chain(stored.bars, candles)
            built = aggregate(candles, length, self.position)
            if not self.plays_stored_bars:
                built = [bar for bar in built if self.is_whole(bar.ts, length)]
            return self.generation, built


def _event_time(record: Bar | Trade) -> int:
    return record.ts if isinstance(record, Trade) else event_time(record)


def _values(bar: Bar) -> tuple[float, float, float, float, float]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)
