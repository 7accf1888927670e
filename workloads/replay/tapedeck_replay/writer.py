"""One transactional producer of a replay's partition."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import TypeVar

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tapedeck_common.kafka import error_of, passing, transactional_producer
from tapedeck_common.settings import Connections
from tapedeck_common.wire import Headers
from tapedeck_crds.errors import Fenced, Unavailable
from tapedeck_replay.copies import Copy
from tapedeck_replay.watchdog import Watchdog

CALL_SECONDS = 10.0
HUNG_SECONDS = 13.0  # no single call may take longer, by its own timeout
CLOSE_SECONDS = 3.0
# A killed producer's open transaction hides from others what comes behind it, for that long.
SHARED_TIMEOUT_MS = 5_000
_SHARED = {"transaction.timeout.ms": SHARED_TIMEOUT_MS, "delivery.timeout.ms": SHARED_TIMEOUT_MS}
T = TypeVar("T")

_FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.FENCED_INSTANCE_ID,
}


class Aborted(Exception):
    """The transaction came to nothing; all since the last commit is to be published again."""


class Writer:
    """Writes one partition of a topic, and copies elsewhere, under one transactional id.

    Raises Fenced, Aborted and Unavailable.
    """

    def __init__(
        self, connections: Connections, partition: TopicPartition, id: str, watchdog: Watchdog, shared: bool
    ) -> None:
        self._topic, self._shard = partition.topic, partition.partition
        self._watchdog = watchdog
        self._producer: Producer = transactional_producer(connections, id, _SHARED if shared else None)
        self.in_transaction = False

    def open(self) -> None:
        """Fence who wrote under this id before, and abort what it left open."""
        self._call(lambda: self._producer.init_transactions(CALL_SECONDS))

    def begin(self) -> None:
        with self._naming():
            self._producer.begin_transaction()
        self.in_transaction = True

    def bars(self, keys: Sequence[bytes], values: Sequence[bytes], headers: Headers, copies: Sequence[Copy]) -> None:
        """Hand bars to the producer. They must fit its queue together with the rest of the transaction."""
        # A loop without bytecode costs a third less. Behind the partition: two callbacks, timestamp, headers.
        calls = map(
            self._producer.produce,
            repeat(self._topic),
            values,
            keys,
            repeat(self._shard),
            repeat(None),
            repeat(None),
            repeat(0),
            repeat(headers),
        )
        with self._naming():
            deque(calls, maxlen=0)
            for copy in copies:
                for key, value in zip(keys, values, strict=True):
                    self._producer.produce(copy.topic, *copy.of(value, key), headers=copy.headers or headers)

    def control(self, value: bytes, headers: Headers) -> None:
        """Hand over a control record."""
        with self._naming():
            self._producer.produce(self._topic, value, partition=self._shard, headers=headers)

    def flush(self) -> bool:
        """Wait until the broker has what was handed over; False if it does not take it in time."""
        with self._naming():
            return self._producer.flush(CALL_SECONDS) == 0

    def commit(self, offset: TopicPartition, group: Consumer) -> None:
        """Commit the open transaction together with the group's offset."""
        self._call(
            lambda: self._producer.send_offsets_to_transaction([offset], group.consumer_group_metadata(), CALL_SECONDS)
        )
        self._call(lambda: self._producer.commit_transaction(CALL_SECONDS))
        self.in_transaction = False

    def abort(self) -> None:
        """Give up the open transaction, if there is one."""
        if self.in_transaction:
            self.in_transaction = False
            self._call(lambda: self._producer.abort_transaction(CALL_SECONDS))

    def leave(self) -> None:
        """What is open is aborted if the broker takes that at once, else by the successor."""
        if self.in_transaction:
            with contextlib.suppress(KafkaException):
                self._producer.abort_transaction(CLOSE_SECONDS)

    def _call(self, action: Callable[[], T]) -> T:
        """Ask the broker, again where it says that this may help."""
        with self._naming():
            try:
                with self._watchdog.limit(HUNG_SECONDS):
                    return action()
            except KafkaException as error:
                if not _worth_retrying(error):
                    raise
            for attempt in stamina.retry_context(on=_worth_retrying, attempts=3, timeout=60.0, wait_max=2.0):
                with attempt, self._watchdog.limit(HUNG_SECONDS):
                    return action()
        raise AssertionError("unreachable: the last attempt raises")

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Give each failure its own name."""
        try:
            yield
        except KafkaException as error:
            fault = error_of(error)
            if fault.code() in _FENCED:
                why = "another took over, or a transaction was open for so long that the broker ended it"
                raise Fenced(f"{self._topic} shard {self._shard}: {why} ({fault.str()})") from error
            problem = f"{self._topic}: {explain(fault)}"
            raise (Aborted if _needs_abort(fault) else Unavailable)(problem) from error
        except BufferError as error:
            raise Aborted(f"{self._topic}: the producer's queue is full ({error})") from error


def _needs_abort(fault: KafkaError) -> bool:
    # produce() says only that the transaction's state forbids it; aborting brings out why.
    return fault.txn_requires_abort() or fault.code() in (KafkaError._STATE, KafkaError._FATAL)


def explain(fault: KafkaError) -> str:
    """The broker's error for people."""
    if fault.code() == KafkaError.KAFKA_STORAGE_ERROR:
        return f"the broker cannot write, its disk may be full ({fault.str()})"
    if passing(KafkaException(fault)):
        return f"the broker does not answer ({fault.str()})"
    return fault.str()


def _worth_retrying(error: Exception) -> bool:
    return isinstance(error, KafkaException) and error_of(error).retriable()
