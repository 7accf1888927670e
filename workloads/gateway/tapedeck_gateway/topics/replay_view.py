"""What a replay's topic says so far: bars up to the committed watermark of the current epoch, none later.

Trades are shown as bars of the replay's interval.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import msgspec

from tapedeck_common.market import Bar, Trade, event_time
from tapedeck_common.wire import (
    End,
    Epoch,
    EpochStart,
    Received,
    Start,
    Watermark,
    decode_bar,
    decode_control,
    decode_trade,
    origin_of,
)
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_gateway.charts.bar_columns import Candle, Series, coarser

SERIES_BARS = 20_000
VIEW_BARS = 1_000_000  # of all series together
WAITING_BARS = 50_000  # of one partition, ahead of the others


@dataclass
class _Partition:
    """How far one partition is read."""

    epoch: Epoch = field(default_factory=Epoch)
    watermark: int | None = None
    waiting: deque[Bar | Trade] = field(default_factory=deque)
    published: int = 0
    caught_up: bool = False
    ended: bool = False


class ReplayView:
    """One replay as its topic tells it. Fed by one thread, read by others.

    ``generation`` counts the jumps: who drew an earlier one draws anew. ``floor`` is the event time
    from which on the topic has every bar up to the position.
    """

    def __init__(self, uid: str, partitions: int) -> None:
        self.uid = uid
        self.generation = 0
        self.watchers = 0
        self.start: Start | None = None
        self.epoch = Epoch()
        self.floor = 0
        self.position: int | None = None
        self._partitions = [_Partition() for _ in range(partitions)]
        self._series: dict[tuple[str, str], Series] = {}
        self._lock = threading.Lock()
        self._caught_up = threading.Event()

    @property
    def interval_ms(self) -> int:
        """Length of the replay's bars; a minute until its start is known."""
        return INTERVAL_MS[self.start.interval] if self.start else 60_000

    @property
    def of_trades(self) -> bool:
        """Whether it plays trades."""
        return self.start is not None and self.start.channel == "trades"

    @property
    def from_store(self) -> bool:
        """Whether the store holds just what is played, so that it knows the bars before."""
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
        """Bars on the topic as the last watermarks count them."""
        return sum(p.published for p in self._partitions)

    def wait_caught_up(self, timeout: float) -> bool:
        """Whether all that was on the topic at the first look is read, within ``timeout`` seconds."""
        return self._caught_up.wait(timeout)

    @property
    def caught_up(self) -> bool:
        return self._caught_up.is_set()

    def at_end_of(self, partition: int) -> None:
        """The reader stands at the end of a partition."""
        self._partitions[partition].caught_up = True
        if all(p.caught_up for p in self._partitions):
            self._caught_up.set()

    def ahead(self, partition: int) -> bool:
        """Whether the partition waits for slower ones with as much as is kept for that."""
        return len(self._partitions[partition].waiting) >= WAITING_BARS and len(self._partitions) > 1

    def take(self, partition: int, headers: Received, value: bytes) -> bool:
        """Apply a record; whether something to be seen changed. Raises ValueError for a broken one."""
        origin = origin_of(headers)
        if origin.replay_uid != self.uid:
            raise ValueError(f"header td: got replay {origin.replay_uid!r}, expected {self.uid!r}")
        with self._lock:
            if origin.control:
                return self._control(self._partitions[partition], value)
            if Epoch.parse(origin.epoch) >= self.epoch:
                self._partitions[partition].waiting.append(decode_trade(value) if self.of_trades else decode_bar(value))
            return False

    def _control(self, partition: _Partition, value: bytes) -> bool:
        match decode_control(value):
            case Start() as start:
                self.start = self.start or start
                self.floor = self.floor or start.range_from
                return False
            case EpochStart(epoch=text, v=v):
                return self._jump(partition, Epoch.parse(text), v)
            case Watermark(epoch=text, v=v, published=published) | End(epoch=text, v=v, published=published) as record:
                epoch = Epoch.parse(text)
                if epoch > self.epoch and self._series:
                    raise ValueError(f"epoch: got {text} without its start, expected {self.epoch}")
                self.epoch = max(self.epoch, epoch)
                partition.epoch, partition.published = epoch, published
                partition.watermark = v
                partition.ended = isinstance(record, End)
        return self._advance()

    def _jump(self, partition: _Partition, epoch: Epoch, v: int) -> bool:
        partition.epoch, partition.watermark, partition.ended = epoch, v, False
        if epoch <= self.epoch:
            return self._advance()
        # What is committed before the jump is true up to the jump, even where a slower partition held it back.
        if self.position is None or v > self.position or v < self.floor:
            self.floor = v
        if self.of_trades:  # the bar around the jump is built anew, of the trades behind it alone
            self.floor = -(-v // self.interval_ms) * self.interval_ms
        self.epoch, self.position = epoch, v
        self.generation += 1
        for each in self._partitions:
            if each.epoch < epoch:
                each.waiting.clear()
        partition.waiting.clear()
        for series in self._series.values():
            series.cut(v - self.interval_ms + 1)
        return True

    def _advance(self) -> bool:
        marks = [p.watermark for p in self._partitions if p.epoch == self.epoch]
        if len(marks) < len(self._partitions):
            return False
        known = [mark for mark in marks if mark is not None]
        if len(known) < len(marks):
            return False
        safe = min(known)
        for partition in self._partitions:
            while partition.waiting and _known_at(partition.waiting[0]) <= safe:
                self._show(partition.waiting.popleft())
        moved = self.position is None or safe > self.position
        self.position = safe if self.position is None else max(safe, self.position)
        return moved or self.ended

    def _show(self, record: Bar | Trade) -> None:
        key = (record.exchange, record.symbol)
        series = self._series.get(key)
        if series is None:
            names = max(len(self.start.symbols) if self.start else 1, 1)
            series = self._series[key] = Series(max(500, min(SERIES_BARS, VIEW_BARS // names)))
        if isinstance(record, Trade):
            oldest = series.add(record.ts - record.ts % self.interval_ms, record.price, record.amount)
        else:
            oldest = series.put(record.ts, (record.open, record.high, record.low, record.close, record.volume))
        if oldest is not None:
            self.floor = max(self.floor, oldest)

    def base(self, exchange: str, symbol: str, start: int, end: int) -> list[Candle]:
        """The replay's own bars with open in [start, end), as far as they are known."""
        with self._lock:
            series = self._series.get((exchange, symbol))
            return list(series.candles(start, end)) if series else []

    def changed(self, exchange: str, symbol: str, width: int, since: int | None) -> tuple[int, list[Candle]]:
        """Generation, and the bars of ``width`` from the one that opens at ``since`` on: the newest alone for None."""
        with self._lock:
            series = self._series.get((exchange, symbol))
            if series is None or self.position is None:
                return self.generation, []
            if since is None:
                last = series.before(self.position)
                since = 0 if last is None else last - last % width
            return self.generation, coarser(series.candles(since, self.position), width, self.position)

    def before(self, exchange: str, symbol: str, ts: int) -> int | None:
        """Open of the last bar known before ``ts``."""
        with self._lock:
            series = self._series.get((exchange, symbol))
            return series.before(ts) if series else None


def _known_at(record: Bar | Trade) -> int:
    return record.ts if isinstance(record, Trade) else event_time(record)
