"""A replay's topic from its beginning to its end, as complete steps of bars.

A run is bound to the replay's uid and reads one epoch, or one after the other. It commits no offset: a run that was
killed starts again from the beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_backtest.bars.arrays import TimeStep
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sources.bar_traces import bar_traces
from tapedeck_backtest.sources.epoch_splitter import EpochSplitter
from tapedeck_common import wire
from tapedeck_common.kafka import consumer, is_transient
from tapedeck_common.market import Bar, event_time
from tapedeck_common.settings import Connections
from tapedeck_common.topics import replay_topic
from tapedeck_crds.errors import Unavailable

START_TIMEOUT = 300.0
POLL_SECONDS = 0.1
ANSWER_SECONDS = 1.0  # also how long a SIGTERM may remain unnoticed
BATCH = 2_000


class ReplayStream:
    """``idle`` is called at least every POLL_SECONDS while no records arrive; what it raises ends the wait.

    With ``follow`` the stream continues with the next epoch after a seek or a new round of the replay's loop. Traces of
    bars are followed of the symbols ``selected`` alone, of all if there are none.
    """

    def __init__(
        self,
        connections: Connections,
        uid: str,
        idle: Callable[[], None],
        start_timeout: float = START_TIMEOUT,
        *,
        follow: bool = False,
        selected: Collection[str] | None = None,
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
            # An error instead of a reset, because a run starts at the very beginning or not at all. Half a megabyte is
            # about 3,000 bars.
            {"auto.offset.reset": "error", "queued.max.messages.kbytes": 4_096, "fetch.message.max.bytes": 524_288},
        )
        self._partitions = 0
        self._epochs = EpochSplitter(1, follow=follow)
        self._paused: set[int] = set()
        self._start: wire.ReplayStart | None = None
        self._epoch_begins: dict[wire.Epoch, int] = {}
        self._traces = bar_traces()
        self._selected = selected

    @property
    def begin(self) -> int | None:
        """Virtual time (ms UTC) at which the current epoch began, known with its first step; None if at the range's."""
        epoch = self._epochs.current
        return None if epoch is None else self._epoch_begins.get(epoch)

    def open(self) -> wire.ReplayStart:
        """Wait for the replay's first record. Raises RunFailed (NoStart, UnsupportedChannel) and Unavailable."""
        while not self._partitions:
            self._idle()
            self._partitions = self._count_partitions()
            self._check_start_deadline()
        self._epochs = EpochSplitter(self._partitions, follow=self._follow)
        self._consumer.assign([TopicPartition(self._topic, p, 0) for p in range(self._partitions)])
        while self._start is None:
            self._process(self._poll())
            self._check_start_deadline()
        if self._start.channel != "bars":
            raise RunFailed("UnsupportedChannel", "data.replay: got a Replay that plays trades, expected one of bars")
        return self._start

    def blocks(self, symbols: Sequence[str]) -> Iterator[list[TimeStep]]:
        """The bars of ``symbols`` in one epoch as they arrive, each with its symbol's index. Call ``open`` first.

        Raises RunFailed (Sought, BadStream) and Unavailable.
        """
        index_of = {symbol: index for index, symbol in enumerate(symbols)}
        while True:
            steps: list[TimeStep] = []
            for event, bars in self._epochs.merge.steps():
                selected = [(index_of[bar.symbol], bar) for bar in bars if bar.symbol in index_of]
                if selected:
                    steps.append((event, selected))
            if steps:
                yield steps
                if self._traces is not None and self._epochs.current is not None:
                    self._traces.given(self._epochs.current, steps[-1][0])
            if self._epochs.merge.ended:
                return
            self._pause_ahead()
            self._process(self._poll())

    def next_epoch(self) -> wire.Epoch | None:
        """Advance to the next epoch, whose bars ``blocks`` then yields; None if the replay has ended."""
        epoch = self._epochs.advance()
        if self._traces is not None and epoch is not None:
            self._traces.forget_before(epoch)
        self._epoch_begins = {each: v for each, v in self._epoch_begins.items() if epoch is not None and each >= epoch}
        return epoch

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _count_partitions(self) -> int:
        """The topic's partitions; 0 while it does not exist."""
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
        except KafkaException as error:
            if not is_transient(error) or time.monotonic() > self._deadline:
                raise Unavailable(f"{self._topic}: {error}") from error
            return 0
        if metadata.error is not None or not metadata.partitions:
            time.sleep(POLL_SECONDS)
            return 0
        return len(metadata.partitions)

    def _check_start_deadline(self) -> None:
        if self._start is None and time.monotonic() > self._deadline:
            raise RunFailed(
                "NoStart",
                f"data.replay: no record on {self._topic} within {self._start_timeout:g} s; is the Replay running?",
            )

    def _poll(self) -> list[Message]:
        """The next messages, or none within POLL_SECONDS. Waits for the first only."""
        self._idle()
        try:
            first = self._consumer.poll(POLL_SECONDS)
            return [] if first is None else [first, *self._consumer.consume(BATCH, 0)]
        except KafkaException as error:
            raise Unavailable(f"{self._topic}: {error}") from error

    def _pause_ahead(self) -> None:
        """Pause partitions that run ahead of the others, and resume those that no longer do."""
        ahead = self._epochs.ahead()
        if ahead != self._paused:
            self._consumer.resume([TopicPartition(self._topic, p) for p in self._paused - ahead])
            self._consumer.pause([TopicPartition(self._topic, p) for p in ahead - self._paused])
            self._paused = ahead

    def _process(self, messages: list[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is not None:
                self._check_error(error, message)
                continue
            try:
                self._process_record(message)
            except RunFailed:  # a ValueError, too
                raise
            except ValueError as problem:
                raise RunFailed("BadStream", f"{self._position(message)}: {problem}") from problem

    def _check_error(self, error: KafkaError, message: Message) -> None:
        """Raises for an error that does not go away by itself."""
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            if message.offset() != 0:
                raise Unavailable(f"{self._topic}: the broker has lost records that were read; the run starts again")
            raise RunFailed(
                "BadStream", f"{self._topic}: its first records were deleted (retention); run the Replay again"
            )
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise RunFailed("BadStream", f"{self._topic}: the topic was deleted; was the Replay deleted?")
        if not is_transient(KafkaException(error)):
            raise Unavailable(f"{self._topic}: {error.str()}")

    def _position(self, message: Message) -> str:
        return f"{self._topic} partition {message.partition()} offset {message.offset()}"

    def _process_record(self, message: Message) -> None:
        partition, value = message.partition(), message.value()
        if partition is None or value is None:
            raise ValueError("value: missing, expected a bar or a control record")
        origin = wire.origin_of(message.headers())
        if origin.replay_uid != self._uid:
            raise ValueError(f"header {wire.HEADER}: got replay {origin.replay_uid!r}, expected {self._uid!r}")
        record = wire.decode_control(value) if origin.control else None
        if isinstance(record, wire.ReplayStart):  # precedes every epoch
            self._start = self._start or record
            return
        merge = self._epochs.merge_of(partition, origin.epoch)
        match record:
            case None:
                bar = wire.decode_bar(value)
                merge.add_bar(partition, bar)
                self._trace(message, partition, bar)
            case wire.Watermark():
                merge.advance_watermark(partition, record.v)
            case wire.ReplayEnd():
                merge.end(partition)
            case wire.EpochStart():
                self._epoch_begins[wire.Epoch.parse(record.epoch)] = record.v

    def _trace(self, message: Message, partition: int, bar: Bar) -> None:
        epoch = self._epochs.reached(partition)
        if self._traces is None or epoch is None:
            return
        if not self._selected or bar.symbol in self._selected:
            self._traces.read(message, epoch, event_time(bar))
