"""Traced records that charts show: each is followed to the first push of a candle that has it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from confluent_kafka import Message

from tapedeck_common.json_text import json_decoder
from tapedeck_common.tracing import RecordTracer, traced
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.topics.control_records import LATEST

KEPT_RECORDS = 200
KEPT_NS = 60_000_000_000  # what is not pushed within a minute, such as a paused replay's, is not followed
Pushed = Callable[[Sequence[Candle], int], None]
"""Tells of candles that were pushed, and to how many subscribers."""


class _Stamp(msgspec.Struct, frozen=True):
    """What bars and trades have in common. A trade has no interval."""

    exchange: str
    symbol: str
    ts: int
    interval: str = ""


@dataclass(frozen=True)
class _Waiting:
    """A record that no candle has shown yet. ``known_at`` is its event time, ``read_ns`` the wall clock's."""

    message: Message
    stamp: _Stamp
    known_at: int
    read_ns: int


@dataclass(frozen=True)
class ShownSeries:
    """A series of a topic as a chart shows it. ``until`` returns the event time up to which it does."""

    topic: str
    exchange: str
    symbol: str
    length: BarLength
    until: Callable[[], int]


_stamp: Callable[[bytes | str], _Stamp] = json_decoder(_Stamp)


class TracedBars:
    """The topic reader's thread notes records, and the event loop tells of pushes."""

    def __init__(self, tracer: RecordTracer) -> None:
        self._tracer = tracer
        self._waiting: deque[_Waiting] = deque(maxlen=KEPT_RECORDS)
        self._lock = threading.Lock()

    def note(self, message: Message) -> None:
        """A record was read that a chart may show."""
        if not traced([message]):
            return
        with contextlib.suppress(msgspec.DecodeError):  # another kind of record
            stamp = _stamp(message.value() or b"")
            if 0 <= stamp.ts <= LATEST:
                length = BAR_LENGTHS.get(stamp.interval)
                known_at = stamp.ts if length is None else length.close_of(stamp.ts)
                with self._lock:
                    self._waiting.append(_Waiting(message, stamp, known_at, time.time_ns()))

    def pushed(self, series: ShownSeries, candles: Sequence[Candle], subscribers: int) -> None:
        """These candles were pushed: end the way of the records that they are made of."""
        if not self._waiting:
            return
        for each in self._take(series, {candle.ts for candle in candles}):
            span = self._tracer.follow("push", each.message, each.read_ns)
            if span is not None:
                span.note(symbol=series.symbol, interval=series.length.interval, subscribers=subscribers)
                span.end()

    def _take(self, series: ShownSeries, opens: set[int]) -> list[_Waiting]:
        until, oldest = series.until(), time.time_ns() - KEPT_NS
        found: list[_Waiting] = []
        with self._lock:
            waiting, self._waiting = self._waiting, deque(maxlen=KEPT_RECORDS)
            for each in waiting:
                shown = _is_of(each, series) and each.known_at <= until
                if shown and series.length.open_of(each.stamp.ts) in opens:
                    found.append(each)
                elif each.read_ns >= oldest:
                    self._waiting.append(each)
        return found


def _is_of(record: _Waiting, series: ShownSeries) -> bool:
    place = (record.message.topic(), record.stamp.exchange, record.stamp.symbol)
    return place == (series.topic, series.exchange, series.symbol)
