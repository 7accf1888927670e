"""A replay's topic, from its beginning to its end, as whole steps of bars.

The run binds to the replay's uid and reads one epoch, or one after the other. It commits no offset: a run that was
killed starts from the beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_backtest.engine.cerebro import Step
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sources.epochs import Epochs
from tapedeck_common import wire
from tapedeck_common.kafka import consumer, passing
from tapedeck_common.settings import Connections
from tapedeck_common.topics import replay_topic
from tapedeck_crds.errors import Unavailable

START_TIMEOUT = 300.0
POLL_SECONDS = 0.1
ANSWER_SECONDS = 1.0  # also how long a SIGTERM may go unheard
BATCH = 2_000


class ReplayStream:
    """``idle`` is called at least every POLL_SECONDS while nothing comes; what it raises ends the wait."""

    def __init__(
        self,
        connections: Connections,
        uid: str,
        idle: Callable[[], None],
        start_timeout: float = START_TIMEOUT,
        *,
        follow: bool = False,
    ) -> None:
        self._uid = uid
        self._follow = follow
        self._topic = replay_topic(uid)
        self._idle = idle
        self._deadline = time.monotonic() + start_timeout
        self._start_timeout = start_timeout
        self._consumer: Consumer = consumer(
            connections,
            "tapedeck-backtest",
            f"tapedeck-backtest-{uid}",
            # Never begin anywhere else than at the beginning. Half a megabyte is some 3,000 bars.
            {"auto.offset.reset": "error", "queued.max.messages.kbytes": 4_096, "fetch.message.max.bytes": 524_288},
        )
        self._partitions = 0
        self._epochs = Epochs(1, follow=follow)
        self._paused: set[int] = set()
        self._start: wire.Start | None = None
        self._begins: dict[wire.Epoch, int] = {}

    @property
    def begin(self) -> int | None:
        """Virtual time that this epoch began with; None where that is the range's. Known with its first step."""
        epoch = self._epochs.current
        return None if epoch is None else self._begins.get(epoch)

    def open(self) -> wire.Start:
        """Wait for the replay's first record. Raises RunFailed (NoStart, UnsupportedChannel) and Unavailable."""
        while not self._partitions:
            self._idle()
            self._partitions = self._count_partitions()
            self._refuse_late_start()
        self._epochs = Epochs(self._partitions, follow=self._follow)
        self._consumer.assign([TopicPartition(self._topic, p, 0) for p in range(self._partitions)])
        while self._start is None:
            self._take(self._poll())
            self._refuse_late_start()
        if self._start.channel != "bars":
            raise RunFailed("UnsupportedChannel", "data.replay: got a Replay that plays trades, expected one of bars")
        return self._start

    def steps(self, symbols: Sequence[str]) -> Iterator[Step]:
        """The bars of ``symbols`` in one epoch, each with its symbol's index. Call ``open`` first.

        Raises RunFailed (Sought, BadStream) and Unavailable.
        """
        wanted = {symbol: index for index, symbol in enumerate(symbols)}
        while True:
            for event, bars in self._epochs.merge.steps():
                chosen = [(wanted[bar.symbol], bar) for bar in bars if bar.symbol in wanted]
                if chosen:
                    yield event, chosen
            if self._epochs.merge.ended:
                return
            self._hold_back()
            self._take(self._poll())

    def go_on(self) -> wire.Epoch | None:
        """To the next epoch, whose bars ``steps`` then gives; None where the replay is over."""
        epoch = self._epochs.advance()
        self._begins = {each: v for each, v in self._begins.items() if epoch is not None and each >= epoch}
        return epoch

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _count_partitions(self) -> int:
        try:
            there = self._consumer.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
        except KafkaException as error:
            if not passing(error) or time.monotonic() > self._deadline:
                raise Unavailable(f"{self._topic}: {error}") from error
            return 0
        if there.error is not None or not there.partitions:
            time.sleep(POLL_SECONDS)
            return 0
        return len(there.partitions)

    def _refuse_late_start(self) -> None:
        if self._start is None and time.monotonic() > self._deadline:
            raise RunFailed(
                "NoStart",
                f"data.replay: nothing on {self._topic} within {self._start_timeout:g} s; is the Replay running?",
            )

    def _poll(self) -> list[Message]:
        """The next messages, none if none came in time. Waits for the first only."""
        self._idle()
        try:
            first = self._consumer.poll(POLL_SECONDS)
            return [] if first is None else [first, *self._consumer.consume(BATCH, 0)]
        except KafkaException as error:
            raise Unavailable(f"{self._topic}: {error}") from error

    def _hold_back(self) -> None:
        ahead = self._epochs.ahead()
        if ahead != self._paused:
            self._consumer.resume([TopicPartition(self._topic, p) for p in self._paused - ahead])
            self._consumer.pause([TopicPartition(self._topic, p) for p in ahead - self._paused])
            self._paused = ahead

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is not None:
                self._take_error(error)
                continue
            try:
                self._take_record(message)
            except ValueError as problem:
                raise RunFailed("BadStream", f"{self._place(message)}: {problem}") from problem

    def _take_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise RunFailed("BadStream", f"{self._topic}: its beginning is gone (retention); run the Replay again")
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise RunFailed("BadStream", f"{self._topic} is gone; was the Replay deleted?")
        if not passing(KafkaException(error)):
            raise Unavailable(f"{self._topic}: {error.str()}")

    def _place(self, message: Message) -> str:
        return f"{self._topic} partition {message.partition()} offset {message.offset()}"

    def _take_record(self, message: Message) -> None:
        partition, value = message.partition(), message.value()
        if partition is None or value is None:
            raise ValueError("a record without a value")
        origin = wire.origin_of(message.headers())
        if origin.replay_uid != self._uid:
            raise ValueError(f"header {wire.HEADER}: got replay {origin.replay_uid!r}, expected {self._uid!r}")
        record = wire.decode_control(value) if origin.control else None
        if isinstance(record, wire.Start):  # what will be played, before any epoch has begun
            self._start = self._start or record
            return
        merge = self._epochs.at(partition, origin.epoch)
        match record:
            case None:
                merge.bar(partition, wire.decode_bar(value))
            case wire.Watermark():
                merge.watermark(partition, record.v)
            case wire.End():
                merge.end(partition)
            case wire.EpochStart():
                self._begins[wire.Epoch.parse(record.epoch)] = record.v
