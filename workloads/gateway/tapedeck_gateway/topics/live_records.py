"""The latest trades, tickers and points of the live market, for the series that a client is subscribed to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tapedeck_common.market import Point, Ticker, Trade, series_key, trade_key, trade_problem
from tapedeck_common.topics import MARKET_POINTS, MARKET_TICKERS, MARKET_TRADES
from tapedeck_common.wire import MessageHeaders, decode_point, decode_ticker, decode_trade, origin_of
from tapedeck_crds.base import described_ms
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.topics.control_records import LATEST
from tapedeck_gateway.topics.record_ring import RecordRing

SERIES_RECORDS = 1_000

MarketRecord: TypeAlias = Trade | Ticker | Point
_DECODERS: dict[str, Callable[[bytes | str], MarketRecord]] = {
    MARKET_TRADES: decode_trade,
    MARKET_TICKERS: decode_ticker,
    MARKET_POINTS: decode_point,
}


@dataclass(frozen=True)
class RecordSeries:
    """One series of a topic; ``name`` is that of a transform, empty for trades and tickers.

    With ``future`` it is kept apart from the one whose limit goes back with a replay.
    """

    topic: str
    exchange: str
    symbol: str
    name: str = ""
    future: bool = False

    @property
    def key(self) -> bytes:
        """The key of its records."""
        return series_key(self.exchange, self.symbol).encode()


@dataclass
class _WatchedRecords:
    """``since`` is when it was first watched, wall clock, and ``stored_until`` the last event that was stored by then.

    The reader begins before that: what it reads of earlier events was stored.
    """

    ring: RecordRing[MarketRecord]
    since: int
    stored_until: int = -1
    watchers: int = 0

    def put(self, record: MarketRecord, written_at: int) -> bool:
        """Add a record that was written to the log at this wall clock; returns False for one that was known."""
        if written_at < self.since and known_at(record) <= self.stored_until:
            return False
        return self.ring.append(record)


class LiveRecords:
    """Records of the market's topics, without those of replays' streams. The topic reader's thread applies them."""

    def __init__(self) -> None:
        self._series: dict[RecordSeries, _WatchedRecords] = {}
        self._by_key: dict[tuple[str, bytes], list[RecordSeries]] = {}
        self._lock = threading.Lock()

    @property
    def topics(self) -> set[str]:
        """The topics that have watched series."""
        with self._lock:
            return {series.topic for series in self._series}

    def watch(self, series: RecordSeries) -> bool:
        """Keep a series from now on; returns whether it is new: ``fill`` then adds what was stored before."""
        with self._lock:
            watched = self._series.get(series)
            new = watched is None
            if watched is None:
                ring: RecordRing[MarketRecord] = RecordRing(SERIES_RECORDS, identity_of, known_at)
                watched = self._series[series] = _WatchedRecords(ring, int(time.time() * 1000))
                self._by_key.setdefault((series.topic, series.key), []).append(series)
            watched.watchers += 1
            return new

    def fill(self, series: RecordSeries, stored: Sequence[MarketRecord], *, replace: bool = False) -> None:
        """Put stored records before those that have arrived, or, with ``replace``, in their place."""
        with self._lock:
            watched = self._series.get(series)
            if watched is not None:
                if replace:
                    watched.ring.clear()
                watched.ring.fill(stored)
                watched.stored_until = max(map(known_at, stored), default=-1)

    def unwatch(self, series: RecordSeries) -> None:
        """Count one watcher less. The records are dropped with the last one."""
        with self._lock:
            watched = self._series[series]
            watched.watchers -= 1
            if watched.watchers:
                return
            del self._series[series]
            same_key = self._by_key[series.topic, series.key]
            same_key.remove(series)
            if not same_key:
                del self._by_key[series.topic, series.key]

    def apply(self, topic: str, key: bytes | None, headers: MessageHeaders, value: bytes, written_at: int) -> bool:
        """Apply a record that was written at this wall clock, ms; returns whether a watched series changed.

        Raises InvalidInput and msgspec.DecodeError for an invalid record.
        """
        followed = self._by_key.get((topic, key or b""))
        if not followed or origin_of(headers).streamed:
            return False
        record = _DECODERS[topic](value)
        if (problem := _problem(record)) is not None:
            raise InvalidInput(problem)
        name = record.series if isinstance(record, Point) else ""
        with self._lock:
            same = [each for each in self._by_key.get((topic, key or b""), ()) if each.name == name]
            changed = [self._series[each].put(record, written_at) for each in same]
        return any(changed)

    def after(self, series: RecordSeries, number: int, until: int) -> tuple[int, list[MarketRecord], int]:
        """The records after the one of this number, as ``RecordRing.after``."""
        with self._lock:
            watched = self._series.get(series)
            return (number, [], 0) if watched is None else watched.ring.after(number, until)


def known_at(record: MarketRecord) -> int:
    """The event time of a record: the close of a point's bar, else its own time."""
    if isinstance(record, Point) and record.interval:
        return BAR_LENGTHS[record.interval].close_of(record.ts)
    return record.ts


def identity_of(record: MarketRecord) -> tuple[object, ...]:
    """What two records have in common of which one is a repeat of the other."""
    match record:
        case Trade():
            return trade_key(record)
        case Ticker():
            return (record.ts, record.price, record.bid, record.ask)
        case Point():
            return (record.interval, record.ts, record.id, record.rev, record.value)


def _problem(record: MarketRecord) -> str | None:
    if not 0 <= record.ts <= LATEST:
        return f"ts: got {described_ms(record.ts)}, expected milliseconds up to {described_ms(LATEST)}"
    if isinstance(record, Point) and record.interval and record.interval not in BAR_LENGTHS:
        return f"interval: got {record.interval[:80]!r}, expected one of {', '.join(BAR_LENGTHS)}"
    return trade_problem(record) if isinstance(record, Trade) else None
