"""The thread that reads Kafka topics for charts: those of watched replays, and the live market's bars."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TypeAlias, TypeVar, cast

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import Counter

from tapedeck_common.kafka import consumer, kafka_error
from tapedeck_common.log_positions import offsets_since
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, points_topic, replay_topic
from tapedeck_common.tracing import tracer
from tapedeck_crds.errors import InvalidInput, NotFound, Unavailable
from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.charts.symbols import ChartSymbol
from tapedeck_gateway.topics.control_records import LATEST
from tapedeck_gateway.topics.live_bars import LiveMarket
from tapedeck_gateway.topics.live_records import LiveRecords
from tapedeck_gateway.topics.points_view import PointsView
from tapedeck_gateway.topics.replay_view import ReplayView
from tapedeck_gateway.topics.topic_view import TopicView
from tapedeck_gateway.topics.traced_bars import Pushed, ShownSeries, TracedBars

BATCH_MESSAGES = 2_000
POLL_SECONDS = 0.02  # a batch is applied after so long, full or not
LOOK_BACK_MS = 60_000  # of live bars: what the recorder may not have stored yet
REQUEST_SECONDS = 10.0
CATCH_UP_SECONDS = 15.0
LIVE_CATCH_UP_SECONDS = 2.0
FOLLOWED_MAX = 500  # live series that no chart subscribes to
EVICT_SECONDS = 5.0
RETRY_SECONDS = 5.0
MAX_COMMANDS = 1_000

BROKER_UNAVAILABLE = "the broker does not answer; try again"
_SILENT = {
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError.REQUEST_TIMED_OUT,
}
_NO_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION}
LIVE = ""
"""Stands for the live market where changes are reported by a replay's uid."""
INVALID_RECORD = (InvalidInput, msgspec.DecodeError, UnicodeError)
"""What decoding and checking a record raises. Any other ValueError is a bug and ends the reader."""
ViewT = TypeVar("ViewT", bound=TopicView)
_Command: TypeAlias = Callable[[Consumer], None]
_Followed: TypeAlias = tuple[str, str, BarLength]
"""Exchange, symbol and length of the bars."""

_invalid_records = Counter(
    "tapedeck_gateway_invalid_records_total", "Records of charts' topics that could not be decoded."
)


class TopicReader:
    """Reads topics while a client needs them.

    ``on_change`` gets the uids of changed replays, LIVE for the market's bars, and the names of its other topics.

    A Kafka consumer belongs to one thread: other threads send it commands. ``on_change`` is called in that thread.
    """

    def __init__(self, connections: Connections, idle_seconds: float, on_change: Callable[[set[str]], None]) -> None:
        self._connections = connections
        self._idle_seconds = idle_seconds
        self._on_change = on_change
        self._views: dict[str, TopicView] = {}  # by topic
        self._last_used: dict[str, float] = {}
        self.live = LiveMarket()
        self.records = LiveRecords()
        recording = tracer()
        self._traced = None if recording is None else TracedBars(recording)
        self._market_topics: set[str] = set()  # that are read
        self._live_behind: set[int] | None = None  # partitions that are not read to their end
        self._live_caught_up = threading.Event()
        self._followed: dict[_Followed, float] = {}  # live series, and when each was last used
        self._follow_lock = threading.Lock()
        self._commands: queue.Queue[_Command] = queue.Queue(MAX_COMMANDS)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether the thread runs, or was never started."""
        return self._thread is None or self._thread.is_alive() or self._stopping.is_set()

    def caught_up_view(self, symbol: ChartSymbol) -> ReplayView:
        """The view of the symbol's replay, read to the present end of its topic.

        Raises NotFound where there is no such replay or series, Unavailable where the broker does not answer.
        """
        view = self.caught_up_replay(symbol.replay)
        start = view.start
        if start is not None and (symbol.exchange != start.exchange or symbol.symbol not in start.symbols):
            raise NotFound(f"symbol: got {symbol.exchange}:{symbol.symbol}, expected one of the replay's")
        return view

    def caught_up_replay(self, uid: str) -> ReplayView:
        """The view of a replay, read to the present end of its topic; raises as ``caught_up_view``."""
        return self._caught_up(replay_topic(uid), uid, ReplayView)

    def caught_up_points(self, symbol: ChartSymbol) -> PointsView:
        """The results of the transforms of the symbol's replay; raises as ``caught_up_view``."""
        return self._caught_up(points_topic(symbol.replay), symbol.replay, PointsView)

    def _caught_up(self, topic: str, uid: str, kind: Callable[[str, int], ViewT]) -> ViewT:
        try:
            view = self._view(topic, uid, kind)
        except KafkaException as error:
            raise broker_unavailable(error) from error
        except queue.Full as error:
            raise Unavailable(f"{topic} cannot be read now: the reader is busy; try again") from error
        if not view.wait_caught_up(CATCH_UP_SECONDS):
            raise Unavailable(f"{topic} could not be read within {CATCH_UP_SECONDS:.0f} s; try again")
        return view

    def position(self, uid: str) -> int | None:
        """The position of a replay that a chart shows; None for another replay, or before the first watermark."""
        view = self._views.get(replay_topic(uid))
        return view.position if isinstance(view, ReplayView) and view.caught_up else None

    def live_bars(self, exchange: str, symbol: str, base: BarLength, start: int, end: int) -> list[Candle]:
        """The newest bars of a live series with open in [start, end), with the one under way.

        The series is followed for as long as it is used.
        """
        if self._follow((exchange, symbol, base)):
            if self._thread is None:
                self.start()
            self._live_caught_up.wait(LIVE_CATCH_UP_SECONDS)
        return self.live.of(base).base_bars(exchange, symbol, start, end)

    def _follow(self, key: _Followed) -> bool:
        """Keep a live series for a while; returns whether it was not followed before."""
        with self._follow_lock:
            is_new = key not in self._followed
            if is_new:
                if len(self._followed) >= FOLLOWED_MAX:
                    self._unfollow(min(self._followed, key=self._followed.__getitem__))
                exchange, symbol, base = key
                self.live.watch(base, exchange, symbol, [])
            self._followed[key] = time.monotonic()
            return is_new

    def _unfollow(self, key: _Followed) -> None:
        exchange, symbol, base = key
        del self._followed[key]
        self.live.of(base).unwatch(exchange, symbol)

    def on_pushed(self, symbol: ChartSymbol, length: BarLength) -> Pushed | None:
        """What to call after a push of a series' candles; None for nothing, as while tracing is off."""
        traced = self._traced
        if traced is None or symbol.series:
            return None
        topic = replay_topic(symbol.replay) if symbol.replay else MARKET_BARS

        def until() -> int:
            return (self.position(symbol.replay) or 0) if symbol.replay else LATEST

        series = ShownSeries(topic, symbol.exchange, symbol.symbol, length, until)
        return lambda candles, subscribers: traced.pushed(series, candles, subscribers)

    def start(self) -> None:
        """Start the thread if it does not run. It reads what is watched in ``live`` and ``records`` of the market."""
        with self._lock:
            self._start()

    def stop(self) -> None:
        """Stop within about a second."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=3)

    def _view(self, topic: str, uid: str, kind: Callable[[str, int], ViewT]) -> ViewT:
        """The view of a topic; a new one is read from the beginning. Raises NotFound, KafkaException, queue.Full."""
        with self._lock:
            view = self._views.get(topic)
            if view is None:
                view = self._open(topic, uid, kind)
            self._last_used[topic] = time.monotonic()
            return cast(ViewT, view)  # a topic has one kind of view

    def _open(self, topic: str, uid: str, kind: Callable[[str, int], ViewT]) -> ViewT:
        client = consumer(self._connections, "tapedeck-gateway-probe", "tapedeck-gateway")
        try:
            found = client.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic]
        finally:
            client.close()
        if found.error is not None and found.error.code() not in _NO_TOPIC:
            raise KafkaException(found.error)
        if not found.partitions:
            raise NotFound(f"symbol: got replay {uid!r}, expected the uid of a replay that has the topic {topic}")
        view = self._views[topic] = kind(uid, len(found.partitions))
        starts = [TopicPartition(topic, p, OFFSET_BEGINNING) for p in found.partitions]
        try:
            self._submit(lambda reader: reader.incremental_assign(starts))
        except queue.Full:
            del self._views[topic]
            raise
        return view

    def _submit(self, command: _Command) -> None:
        self._commands.put(command, timeout=REQUEST_SECONDS)
        self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="topic-reader", daemon=True)
            self._thread.start()

    @property
    def _wanted_topics(self) -> set[str]:
        """The market's topics that have watchers."""
        return self.records.topics | ({MARKET_BARS} if self.live.watchers else set())

    def _assign_market(self, reader: Consumer, topic: str) -> None:
        """Read a topic of the market too, starting LOOK_BACK_MS ago. Raises KafkaException."""
        described = reader.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic]
        if described.error is not None:  # a topic that is not there yet has no partitions, and would never be read
            raise KafkaException(described.error)
        since = int(time.time() * 1000) - LOOK_BACK_MS
        offsets = offsets_since(reader, [(topic, number) for number in described.partitions], since)
        reader.incremental_assign([TopicPartition(*place, offset) for place, offset in offsets.items()])
        self._market_topics.add(topic)
        if topic == MARKET_BARS:
            self._live_behind = set(described.partitions)

    def _run(self) -> None:
        reader = consumer(self._connections, "tapedeck-gateway", "tapedeck-gateway", {"enable.partition.eof": True})
        try:
            next_eviction = time.monotonic() + EVICT_SECONDS
            next_assignment = float("-inf")
            while not self._stopping.is_set():
                self._run_commands(reader)
                if time.monotonic() > next_assignment and not self._try_to_assign_market(reader):
                    next_assignment = time.monotonic() + RETRY_SECONDS
                self._apply(reader, reader.consume(BATCH_MESSAGES, timeout=POLL_SECONDS))
                if time.monotonic() > next_eviction:
                    self._evict_idle(reader)
                    next_eviction = time.monotonic() + EVICT_SECONDS
        except Exception:
            log.exception("the topic reader failed")
            raise
        finally:
            reader.close()

    def _run_commands(self, reader: Consumer) -> None:
        while not self._commands.empty():
            self._commands.get_nowait()(reader)

    def _try_to_assign_market(self, reader: Consumer) -> bool:
        try:
            for topic in self._wanted_topics - self._market_topics:
                self._assign_market(reader, topic)
        except KafkaException as error:
            log.warning("the live market is not read yet", retry_seconds=RETRY_SECONDS, reason=str(error))
            return False
        return True

    def _apply(self, reader: Consumer, messages: list[Message]) -> None:
        changed: set[str] = set()
        read: set[str] = set()
        for message in messages:
            topic = message.topic() or ""
            if topic in self._market_topics:
                if self._apply_live(topic, message):
                    changed.add(LIVE if topic == MARKET_BARS else topic)
                continue
            view = self._views.get(topic)
            if view is None:
                continue
            partition = message.partition() or 0
            if self._apply_to_view(view, partition, message):
                changed.add(view.uid)
                read.add(topic)
            if view.is_ahead(partition):
                reader.pause([TopicPartition(topic, partition)])
        for topic in read:
            partitions = [p for p in reader.assignment() if p.topic == topic]
            reader.resume([p for p in partitions if not self._views[topic].is_ahead(p.partition)])
        if changed:
            self._on_change(changed)

    def _apply_live(self, topic: str, message: Message) -> bool:
        """Apply a record of the market, or the end of a partition; returns whether a chart may have changed."""
        failed = message.error()
        if failed is not None:
            if failed.code() == KafkaError._PARTITION_EOF and topic == MARKET_BARS and self._live_behind is not None:
                self._live_behind.discard(message.partition() or 0)
                if not self._live_behind:
                    self._live_caught_up.set()
            return False
        key, headers, value = _key(message), message.headers(), message.value() or b""
        try:
            if topic == MARKET_BARS:
                changed = self.live.apply(key, headers, value)
                if changed and self._traced is not None:
                    self._traced.note(message)
                return changed
            return self.records.apply(topic, key, headers, value, message.timestamp()[1])
        except INVALID_RECORD as error:
            _count_invalid(message, error)
            return False

    def _apply_to_view(self, view: TopicView, partition: int, message: Message) -> bool:
        """Apply a record, or the end of a partition; returns whether a chart may have changed."""
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                view.mark_caught_up(partition)
                return True
            log.warning("reading a replay's topic failed", topic=message.topic(), reason=error.str())
            return False
        try:
            changed = view.apply(partition, message.headers(), message.value() or b"")
            if self._traced is not None and isinstance(view, ReplayView):
                self._traced.note(message)
            return changed
        except INVALID_RECORD as invalid:
            _count_invalid(message, invalid)
            return False

    def _evict_idle(self, reader: Consumer) -> None:
        """Stop reading what no client has used for ``idle_seconds``."""
        with self._lock:
            limit = time.monotonic() - self._idle_seconds
            for topic in [t for t, used in self._last_used.items() if used < limit and not self._views[t].watched]:
                del self._views[topic], self._last_used[topic]
                reader.incremental_unassign([p for p in reader.assignment() if p.topic == topic])
            with self._follow_lock:
                for key in [key for key, used in self._followed.items() if used < limit]:
                    self._unfollow(key)
            for topic in self._market_topics - self._wanted_topics:
                self._market_topics.discard(topic)
                reader.incremental_unassign([p for p in reader.assignment() if p.topic == topic])
                if topic == MARKET_BARS:
                    self._live_behind = None
                    self._live_caught_up.clear()


def broker_unavailable(error: KafkaException) -> Unavailable:
    """What to tell of an error of the broker: one that answers with an error is told from one that is silent."""
    fault = kafka_error(error)
    if fault.code() in _SILENT:
        return Unavailable(BROKER_UNAVAILABLE)
    return Unavailable(f"the broker cannot answer ({fault.name()}); try again")


def _key(message: Message) -> bytes | None:
    key = message.key()
    return key.encode() if isinstance(key, str) else key


def _count_invalid(message: Message, error: Exception) -> None:
    _invalid_records.inc()
    log.warning(
        "skipped an invalid record",
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        reason=str(error),
    )
