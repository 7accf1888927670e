"""The live market's closed bars as complete steps, for paper trading.

The content of a step must not depend on when it is read, because a run that was killed starts again from the same
offsets: a bar counts if its record was written within GRACE_MS after its close, whenever it is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_backtest.bars.arrays import TimeStep
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sources.bar_traces import bar_traces
from tapedeck_common import wire
from tapedeck_common.kafka import consumer, is_transient
from tapedeck_common.log_positions import offsets_since
from tapedeck_common.market import Bar, event_time
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS as BARS
from tapedeck_crds.errors import Unavailable

GRACE_MS = 5_000  # after a bar's close, for its record to be written
LAG_MS = 2_000  # for the record to be read
POLL_SECONDS = 0.1
ANSWER_SECONDS = 10.0
BATCH = 2_000
EPOCH = wire.Epoch()  # a live stream has no other


class LiveStream:
    """Bars of some symbols that close after ``since`` and until ``until`` (ms UTC); without an end if that is None.

    ``idle`` is called at least every POLL_SECONDS while no bars arrive; what it raises ends the wait.
    """

    def __init__(
        self,
        connections: Connections,
        exchange: str,
        symbols: Sequence[str],
        interval: str,
        since: int,
        until: int | None,
        idle: Callable[[], None],
    ) -> None:
        self._series = (exchange, interval)
        self._symbols = {symbol: index for index, symbol in enumerate(symbols)}
        self._last_event = since
        self._until = until
        self._idle = idle
        self._pending: dict[int, dict[int, Bar]] = {}  # event time → symbol index → bar
        self._catching_up: set[int] = set()  # partitions that have not been read to their end yet
        self._traces = bar_traces()
        self._consumer: Consumer = consumer(
            connections, "tapedeck-backtest", "tapedeck-backtest-live", {"enable.partition.eof": True}
        )

    def open(self) -> None:
        """Assign all partitions at their offsets of ``since``. Raises Unavailable."""
        try:
            metadata = self._consumer.list_topics(BARS, timeout=ANSWER_SECONDS).topics[BARS]
            if metadata.error is not None:
                raise Unavailable(f"{BARS}: {metadata.error.str()}")
            offsets = offsets_since(self._consumer, [(BARS, p) for p in metadata.partitions], self._last_event)
            self._catching_up = set(metadata.partitions)
            self._consumer.assign([TopicPartition(*place, offset) for place, offset in offsets.items()])
        except KafkaException as error:
            raise Unavailable(f"{BARS}: {error}") from error

    def blocks(self) -> Iterator[list[TimeStep]]:
        """The bars as they are complete, each with its symbol's index. Raises RunFailed (BadStream) and Unavailable."""
        while True:
            now = time.time_ns() // 1_000_000
            self._poll()
            steps: list[TimeStep] = []
            while (event := self._complete_event(now)) is not None:
                self._last_event = event
                steps.append((event, sorted(self._pending.pop(event).items())))
            if steps:
                yield steps
                if self._traces is not None:
                    self._traces.given(EPOCH, steps[-1][0])
            if self._until is not None and not self._catching_up and now > self._until + GRACE_MS + LAG_MS:
                return

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _complete_event(self, now: int) -> int | None:
        """The earliest pending event time, if all symbols have a bar or no further bar can count."""
        event = min(self._pending, default=None)
        if event is None or self._catching_up:
            return None
        complete = len(self._pending[event]) == len(self._symbols) or now > event + GRACE_MS + LAG_MS
        return event if complete else None

    def _poll(self) -> None:
        self._idle()
        try:
            first = self._consumer.poll(POLL_SECONDS)
            messages = [] if first is None else [first, *self._consumer.consume(BATCH, 0)]
            for message in messages:
                self._process(message)
        except KafkaException as error:
            raise Unavailable(f"{BARS}: {error}") from error

    def _process(self, message: Message) -> None:
        error, value = message.error(), message.value()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._catching_up.discard(message.partition() or 0)
            return
        if error is not None:
            if not is_transient(KafkaException(error)):
                raise Unavailable(f"{BARS}: {error.str()}")
            return
        try:
            if wire.origin_of(message.headers()).source != "live":
                return
            bar = wire.decode_bar(value or b"")
        except ValueError as problem:
            raise RunFailed(
                "BadStream", f"{BARS} partition {message.partition()} offset {message.offset()}: {problem}"
            ) from problem
        index, event = self._symbols.get(bar.symbol), event_time(bar)
        if index is None or (bar.exchange, bar.interval) != self._series or not bar.closed:
            return
        late = message.timestamp()[1] > event + GRACE_MS or event <= self._last_event
        if not late and (self._until is None or event <= self._until):
            # The first record of a bar counts: a backtest never revises a bar.
            self._pending.setdefault(event, {}).setdefault(index, bar)
            if self._traces is not None:
                self._traces.read(message, EPOCH, event)
