"""The recorder's share of the log: a group decides who reads what, the database where to go on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tapedeck_common import topics
from tapedeck_common.kafka import consumer, error_of, passing
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_recorder import metrics
from tapedeck_recorder.kafka.topic_ids import CLIENT
from tapedeck_recorder.rows.batch import Partition, place
from tapedeck_recorder.store.offsets import NOWHERE

BATCH_MESSAGES = 20_000
# Several batches are in memory at a time: bars fill none by bytes, a dozen large results do.
BATCH_BYTES = 8_000_000
GATHER_SECONDS = 0.02
FORGET_SECONDS = 10.0
# Messages are made with the interpreter's lock held: in small steps, the writers get their turns in between.
STEP_MESSAGES = 1_000


class Reader:
    """Messages of the partitions that this recorder holds.

    ``settle`` is called before partitions are given up: when it returns, what was read is written.
    ``load`` says where partitions go on. ``astray`` are those where the log holds nothing at that offset: they
    stand still until ``begin_again``.
    """

    def __init__(
        self,
        connections: Connections,
        load: Callable[[list[Partition]], dict[Partition, int]],
        settle: Callable[[], None],
    ) -> None:
        self._connections = connections
        self._load = load
        self._settle = settle
        self._consumer = self._client()
        self._moves = 0
        self.assigned: set[Partition] = set()
        self.astray: set[Partition] = set()

    def open(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            list(topics.STANDING), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def open_anew(self) -> None:
        """Join the group as another member, by a client that knows nothing of the topics as they were.

        librdkafka takes a leader epoch that is below the last one for an old answer and stays with the last: of topics
        made anew, where they begin at 0, it would never read again.
        """
        self.close()
        self._hold(set())
        self._consumer = self._client()
        self.open()

    def read(self, wait: float) -> list[Message]:
        """What has come, waiting for the first. Raises KafkaException for what does not pass."""
        moves = self._moves
        first = self._consumer.poll(wait)
        if first is None:
            return []
        messages, size = [first], len(first)
        deadline = time.monotonic() + GATHER_SECONDS
        while len(messages) < BATCH_MESSAGES and size < BATCH_BYTES:
            # As many as fit, should they be as large as those before.
            step = min(STEP_MESSAGES, (BATCH_BYTES - size) * len(messages) // max(size, 1) + 1)
            some = self._consumer.consume(step, max(deadline - time.monotonic(), 0.0))
            messages += some
            size += sum(map(len, some))
            if len(some) < step:
                break
        if any(message.error() for message in messages):
            messages = [message for message in messages if not self._failed(message)]
        if moves != self._moves:
            # Read before and after partitions were given out anew: begin again where the store is.
            self.begin_again()
            return []
        return messages

    def begin_again(self) -> None:
        """Go on where the store is, which must hold all that was read."""
        if self.assigned:
            self._go_on(self._consumer, sorted(self.assigned))

    def positions(self) -> dict[Partition, int]:
        """Where reading goes on: behind the last message and what transactions leave on the log."""
        places = self._consumer.position([TopicPartition(*partition) for partition in self.assigned])
        return {(p.topic, p.partition): p.offset for p in places if p.offset >= 0}

    def measure(self) -> None:
        """Tell the metrics how many messages wait on the log, as far as is known without asking."""
        waiting = 0
        positions = self.positions()
        for partition in self.assigned:
            with contextlib.suppress(KafkaException):
                _, high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
                waiting += max(high - positions.get(partition, 0), 0)
        metrics.LAG.set(waiting)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _client(self) -> Consumer:
        return consumer(
            self._connections,
            CLIENT,
            topics.RECORDER_GROUP,
            {
                "partition.assignment.strategy": "roundrobin",
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_500,
                # Not "earliest": what was deleted before it was recorded is no silent matter.
                "auto.offset.reset": "error",
            },
        )

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._go_on(client, [(p.topic, p.partition) for p in partitions])

    def _on_revoke(self, client: Consumer, _partitions: list[TopicPartition]) -> None:
        # Where they are lost another may hold them already: then the offsets' compare-and-set says who writes.
        try:
            self._settle()
        finally:
            self._hold(set())
            client.unassign()

    def _go_on(self, client: Consumer, places: list[Partition]) -> None:
        found = self._load(places)
        client.assign([TopicPartition(*p, OFFSET_BEGINNING if found[p] == NOWHERE else found[p]) for p in places])
        _forget_positions(client, places)
        self._hold(set(places))

    def _hold(self, partitions: set[Partition]) -> None:
        self._moves += 1
        self.assigned = partitions
        self.astray.clear()
        metrics.PARTITIONS.set(len(partitions))

    def _failed(self, message: Message) -> bool:
        """Whether this is no message but an error, which passes. Raises KafkaException for one that does not."""
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self.astray.add(place(message)[:2])
            return True
        failure = KafkaException(error)
        # A broker that has just started may not know its topics yet.
        if not passing(failure) and error_of(failure).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise failure
        log.warning("the broker is away", reason=str(error))
        return True


def _forget_positions(client: Consumer, places: list[Partition]) -> None:
    """Wait until the client no longer tells where it was before: what it read and did not hand on is not recorded."""
    asked = [TopicPartition(*place) for place in places]
    deadline = time.monotonic() + FORGET_SECONDS
    while any(p.offset >= 0 for p in client.position(asked)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the client still tells its former positions after {FORGET_SECONDS:g} s")
        time.sleep(0.001)
