"""From the log to the log: each record once through its series, its points published, then its place committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event
from typing import TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_common import wire
from tapedeck_common.market import Bar
from tapedeck_crds.transforms import Transform
from tapedeck_transform import places
from tapedeck_transform.layout import layout_of
from tapedeck_transform.market_of import Market
from tapedeck_transform.output import Output
from tapedeck_transform.places import Place
from tapedeck_transform.prime import Past
from tapedeck_transform.progress import Progress
from tapedeck_transform.series import Series
from tapedeck_transform.stages import Call
from tapedeck_transform.tally import Tally
from tapedeck_transform.values import Record

BATCH, WAIT_SECONDS = 1_000, 0.1
COMMIT_SECONDS = 1.0
READ_AGAIN_MAX = 500_000  # records of a partition, after a restart
Key: TypeAlias = tuple[str, int]


class Run:
    """The transforms of one Feed or Replay."""

    def __init__(
        self,
        reader: Consumer,
        output: Output,
        market: Market,
        transforms: Sequence[Transform],
        call: Call,
        past: Past,
        tally: Tally,
        stop: Event,
    ) -> None:
        self._reader, self._output, self._market = reader, output, market
        self._transforms, self._call, self._past, self._tally = transforms, call, past, tally
        self._stop = stop
        self._fingerprint = places.fingerprint(transforms)
        self._places: dict[Key, Place] = {}  # as they were found
        self._next: dict[Key, int] = {}
        self._series: dict[Key, dict[tuple[str, str, str], tuple[Series, int] | None]] = {}
        self._at_end: set[Key] = set()
        self._ended: set[Key] = set()
        self._progress = Progress(reader)
        self._committed = time.monotonic()
        self._dirty: set[Key] = set()
        self.lookbacks: dict[str, int] = {}

    def open(self, since_ms: int | None) -> None:
        """Find where to go on. Raises KafkaException."""
        self._places = places.find(self._reader, self._market.channels, self._fingerprint, since_ms)
        self._series = {key: {} for key in self._places}
        self._next = {key: place.next for key, place in self._places.items()}
        self._reader.assign([TopicPartition(*key, place.low) for key, place in self._places.items()])

    def execute(self) -> bool:
        """Until the Replay's end, which is True, or until asked to stop. Raises KafkaException and psycopg.Error."""
        while not self._stop.is_set():
            for message in self._reader.consume(BATCH, WAIT_SECONDS):
                self._take(message)
            self._output.poll()
            if time.monotonic() - self._committed >= COMMIT_SECONDS:
                self._commit()
            if self._market.replay and len(self._ended) == len(self._places):
                self._commit()
                self._tally.caught_up = int(time.time() * 1000)
                return True
            if (through := self._progress.through(self._next, self._at_end)) is not None:
                self._commit()
                self._tally.caught_up = through
        self._commit()
        return False

    def _take(self, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        error = message.error()
        if topic is None or partition is None or offset is None or error is not None:
            self._note(error, (topic or "", partition or 0))
            return
        key = (topic, partition)
        self._at_end.discard(key)
        quiet = offset < self._next[key]
        if self._market.wants(message.key()):
            self._through(key, message, offset, quiet)
        if not quiet:
            self._next[key] = offset + 1
            self._dirty.add(key)

    def _note(self, error: KafkaError | None, key: Key) -> None:
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._at_end.add(key)
        elif error is not None and not error.retriable():
            raise KafkaException(error)

    def _through(self, key: Key, message: Message, offset: int, quiet: bool) -> None:
        try:
            control, record = self._market.control(message), self._market.record(message)
        except ValueError:  # the recorder keeps what is no record
            return
        if control is not None:
            self._control(key, control)
        series = self._series_of(key, record, offset, quiet) if record is not None else None
        if record is None or series is None:
            return
        points = series.take(record, offset, _unheard if quiet else self._failed)
        if points and not quiet:
            self._output.points(points, self._market.headers(message))
            for point in points:
                self._tally.point(point.series)

    def _control(self, key: Key, control: wire.ControlRecord) -> None:
        """A Replay's: another epoch begins with nothing before it."""
        if isinstance(control, wire.EpochStart):
            self._series[key].clear()
            self._ended.discard(key)
        elif isinstance(control, wire.End):
            self._ended.add(key)

    def _failed(self, transform: str, record: Record, reason: str) -> None:
        self._tally.failed(transform, reason)
        self._output.failed(transform, record, reason)

    def _series_of(self, key: Key, record: Record, offset: int, quiet: bool) -> Series | None:
        interval = record.interval if isinstance(record, Bar) else ""
        name = (record.exchange, record.symbol, interval)
        known = self._series[key]
        if name not in known:
            known[name] = self._begin(key, record, interval, offset, quiet)
        found = known[name]
        return found[0] if found is not None else None

    def _begin(self, key: Key, record: Record, interval: str, offset: int, quiet: bool) -> tuple[Series, int] | None:
        """A series that was not seen yet, with what the store has before it: not where the log has all that is needed.

        A Replay's begin with what it plays.
        """
        layout = layout_of(self._transforms, self._market.channels[key[0]], interval)
        if not layout.transforms:
            return None
        for name, back in layout.back.items():
            self.lookbacks[name] = max(back, self.lookbacks.get(name, 0))
        series = Series(layout, self._call)
        stored = not self._market.replay and (self._places[key].past or not quiet)
        before = layout.deepest + 1 if stored and layout.deepest else 0
        for earlier in self._past.before(record, before) if before else ():
            series.take(earlier, offset, _unheard)
        return series, offset if before else -1

    def _commit(self) -> None:
        """Everything delivered, then how far it is. Raises KafkaException."""
        self._committed = time.monotonic()
        if not self._dirty:
            return
        self._output.settle()
        moved = {key: self._place(key) for key in self._dirty}
        places.commit(self._reader, moved, self._fingerprint)
        self._dirty.clear()

    def _place(self, key: Key) -> Place:
        """The first record that must be read again is the earliest that any series needs.

        Of a Feed's series that are silent for long the store has what they need. Of a Replay it is the last record at
        least, which may be its end.
        """
        following = self._next[key]
        seen = [each for each in self._series[key].values() if each is not None]
        lows = [low for series, _ in seen if (low := series.low) is not None]
        past = any(begun >= 0 and (series.low or 0) <= begun for series, begun in seen)
        low = min([*lows, following])
        if self._market.replay:
            return Place(max(min(low, following - 1), 0), following, False)
        if low < following - READ_AGAIN_MAX:
            return Place(following - READ_AGAIN_MAX, following, True)
        return Place(low, following, past)


def _unheard(_transform: str, _record: Record, _reason: str) -> None:
    """It was told when the record was first read."""
