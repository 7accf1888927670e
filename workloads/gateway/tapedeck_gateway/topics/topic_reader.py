"""The one thread that reads topics for charts: those of watched replays, and the live market's bars."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import Counter

from tapedeck_common.kafka import consumer
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, replay_topic
from tapedeck_gateway.topics.live_bars import MarketView
from tapedeck_gateway.topics.replay_view import ReplayView

BATCH = 2_000
WAIT_S = 0.02  # a batch is handed on after so long, full or not
LOOK_BACK_MS = 60_000  # what the recorder may not have stored yet
ANSWER_S = 10.0

_broken = Counter("tapedeck_gateway_broken_records", "Records of charts' topics that could not be read.")


class Tail:
    """Reads while there is something to read. ``changed`` is called in its thread after each batch."""

    def __init__(self, connections: Connections, idle_seconds: float, changed: Callable[[set[str]], None]) -> None:
        self._connections = connections
        self._idle = idle_seconds
        self._changed = changed
        self._replays: dict[str, ReplayView] = {}
        self._used: dict[str, float] = {}
        self.market = MarketView()
        self._market_on = False
        self._orders: queue.Queue[Callable[[Consumer], None]] = queue.Queue(maxsize=1_000)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether the thread runs, if it was ever needed."""
        return self._thread is None or self._thread.is_alive() or self._stopping.is_set()

    def replay(self, uid: str) -> ReplayView:
        """The replay's view, read from the topic's beginning if it is new.

        Raises KeyError where there is no such replay, KafkaException where the broker does not answer.
        """
        with self._lock:
            view = self._replays.get(uid)
            if view is None:
                view = self._begin(uid)
            self._used[uid] = time.monotonic()
            return view

    def watch_market(self) -> None:
        """Read the live market's bars too, from a minute ago on."""
        with self._lock:
            if not self._market_on:
                self._market_on = True
                self._order(self._assign_market)

    def stop(self) -> None:
        """End within a second."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=3)

    def _begin(self, uid: str) -> ReplayView:
        topic = replay_topic(uid)
        probe = consumer(self._connections, "tapedeck-gateway-probe", "tapedeck-gateway")
        try:
            partitions = probe.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions
        finally:
            probe.close()
        if not partitions:
            raise KeyError(uid)
        view = self._replays[uid] = ReplayView(uid, len(partitions))
        starts = [TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions]
        self._order(lambda reader: reader.incremental_assign(starts))
        return view

    def _order(self, order: Callable[[Consumer], None]) -> None:
        self._orders.put(order, timeout=ANSWER_S)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tail", daemon=True)
            self._thread.start()

    def _assign_market(self, reader: Consumer) -> None:
        known = reader.list_topics(MARKET_BARS, timeout=ANSWER_S).topics[MARKET_BARS].partitions
        since = int(time.time() * 1000) - LOOK_BACK_MS
        wanted = [TopicPartition(MARKET_BARS, p, since) for p in known]
        reader.incremental_assign(reader.offsets_for_times(wanted, timeout=ANSWER_S))

    def _run(self) -> None:
        reader = consumer(self._connections, "tapedeck-gateway", "tapedeck-gateway", {"enable.partition.eof": True})
        try:
            next_sweep = time.monotonic() + 5
            while not self._stopping.is_set():
                self._follow_orders(reader)
                self._take(reader, reader.consume(BATCH, timeout=WAIT_S))
                if time.monotonic() > next_sweep:
                    self._sweep(reader)
                    next_sweep = time.monotonic() + 5
        except Exception:
            log.exception("the charts' reader ended")
            raise
        finally:
            reader.close()

    def _follow_orders(self, reader: Consumer) -> None:
        while not self._orders.empty():
            order = self._orders.get_nowait()
            try:
                order(reader)
            except KafkaException as error:
                log.error("cannot read a chart's topic", reason=str(error))

    def _take(self, reader: Consumer, messages: list[Message]) -> None:
        changed: set[str] = set()
        for message in messages:
            topic, partition = message.topic() or "", message.partition() or 0
            if topic == MARKET_BARS:
                if message.error() is None and self._market(message):
                    changed.add("")
                continue
            view = self._replays.get(topic.removeprefix(replay_topic("")))
            if view is None:
                continue
            fault = message.error()
            if fault is not None:
                if fault.code() == KafkaError._PARTITION_EOF:
                    view.at_end_of(partition)
                    changed.add(view.uid)
                else:
                    log.warning("reading a replay's topic", topic=topic, reason=fault.str())
                continue
            if self._replay(view, partition, message):
                changed.add(view.uid)
            if view.ahead(partition):
                reader.pause([TopicPartition(topic, partition)])
        for view in [self._replays[uid] for uid in changed if uid]:
            behind = [p for p in reader.assignment() if p.topic == replay_topic(view.uid)]
            reader.resume([p for p in behind if not view.ahead(p.partition)])
        if changed:
            self._changed(changed)

    def _market(self, message: Message) -> bool:
        try:
            return self.market.take(_key(message), message.headers(), message.value() or b"")
        except ValueError as error:
            _skip(message, error)
            return False

    def _replay(self, view: ReplayView, partition: int, message: Message) -> bool:
        try:
            return view.take(partition, message.headers(), message.value() or b"")
        except ValueError as error:
            _skip(message, error)
            return False

    def _sweep(self, reader: Consumer) -> None:
        """Forget what nobody has looked at for long."""
        with self._lock:
            limit = time.monotonic() - self._idle
            for uid in [u for u, used in self._used.items() if used < limit and not self._replays[u].watchers]:
                del self._replays[uid], self._used[uid]
                gone = [p for p in reader.assignment() if p.topic == replay_topic(uid)]
                reader.incremental_unassign(gone)
            if self._market_on and not self.market.watchers:
                self._market_on = False
                gone = [p for p in reader.assignment() if p.topic == MARKET_BARS]
                reader.incremental_unassign(gone)


def _key(message: Message) -> bytes | None:
    key = message.key()
    return key.encode() if isinstance(key, str) else key


def _skip(message: Message, error: ValueError) -> None:
    _broken.inc()
    log.warning(
        "broken record",
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        reason=str(error),
    )
