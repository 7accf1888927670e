"""A Feed's closed bars as they come, as whole steps: the market itself, traded on paper.

What belongs to a step must not depend on when it is read, because a run that was killed begins again at the same place
of the log: a bar counts if its record was written within GRACE_MS of its end, whoever reads it when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapedeck_backtest.engine.cerebro import Step
from tapedeck_backtest.errors import RunFailed
from tapedeck_common import wire
from tapedeck_common.kafka import consumer, passing
from tapedeck_common.market import Bar, event_time
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS as BARS
from tapedeck_crds.errors import Unavailable

GRACE_MS = 5_000  # after its end, for a bar to be on the log
LAG_MS = 2_000  # and to be read from there
POLL_SECONDS = 0.1
ANSWER_SECONDS = 10.0
BATCH = 2_000


class LiveStream:
    """Bars of some symbols that end after ``since`` and until ``until`` (ms UTC), for ever where that is None.

    ``idle`` is called at least every POLL_SECONDS while nothing comes; what it raises ends the wait.
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
        self._done = since
        self._until = until
        self._idle = idle
        self._waiting: dict[int, dict[int, Bar]] = {}
        self._behind: set[int] = set()  # partitions whose past is not read yet
        self._consumer: Consumer = consumer(
            connections, "tapedeck-backtest", "tapedeck-backtest-live", {"enable.partition.eof": True}
        )

    def open(self) -> None:
        """Go to where the log was at ``since``. Raises Unavailable."""
        try:
            there = self._consumer.list_topics(BARS, timeout=ANSWER_SECONDS).topics[BARS]
            if there.error is not None:
                raise Unavailable(f"{BARS}: {there.error.str()}")
            ends = {p: self._end_of(p) for p in there.partitions}  # before it is asked what lies behind ``since``
            asked = [TopicPartition(BARS, partition, self._done) for partition in there.partitions]
            places = self._consumer.offsets_for_times(asked, ANSWER_SECONDS)
            for place in places:
                if place.offset < 0:  # "the end" would be that of a moment later, behind a bar that comes meanwhile
                    place.offset = ends[place.partition]
            self._behind = {place.partition for place in places}
            self._consumer.assign(places)
        except KafkaException as error:
            raise Unavailable(f"{BARS}: {error}") from error

    def steps(self) -> Iterator[Step]:
        """The bars, each with its symbol's index. Raises RunFailed (BadStream) and Unavailable."""
        while True:
            now = time.time_ns() // 1_000_000
            self._take_all()
            while (event := self._whole(now)) is not None:
                self._done = event
                yield event, sorted(self._waiting.pop(event).items())
            if self._until is not None and not self._behind and now > self._until + GRACE_MS + LAG_MS:
                return

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _end_of(self, partition: int) -> int:
        _, end = self._consumer.get_watermark_offsets(TopicPartition(BARS, partition), ANSWER_SECONDS)
        return end

    def _whole(self, now: int) -> int | None:
        event = min(self._waiting, default=None)
        if event is None or self._behind:
            return None
        ready = len(self._waiting[event]) == len(self._symbols) or now > event + GRACE_MS + LAG_MS
        return event if ready else None

    def _take_all(self) -> None:
        self._idle()
        try:
            first = self._consumer.poll(POLL_SECONDS)
            messages = [] if first is None else [first, *self._consumer.consume(BATCH, 0)]
            for message in messages:
                self._take(message)
        except KafkaException as error:
            raise Unavailable(f"{BARS}: {error}") from error

    def _take(self, message: Message) -> None:
        error, value = message.error(), message.value()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._behind.discard(message.partition() or 0)
            return
        if error is not None:
            if not passing(KafkaException(error)):
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
        late = message.timestamp()[1] > event + GRACE_MS or event <= self._done
        if not late and (self._until is None or event <= self._until):
            self._waiting.setdefault(event, {}).setdefault(index, bar)  # a bar given is never revised: the first counts
