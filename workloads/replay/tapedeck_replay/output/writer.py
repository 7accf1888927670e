"""One transactional producer of a replay's partition, and a watchdog for calls that ignore their timeout."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import TypeVar

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tapedeck_common.kafka import client_error, kafka_error, transactional_producer
from tapedeck_common.log_positions import Partition, message_offset, message_partition
from tapedeck_common.replay_transactions import CALL_SECONDS, FENCED, SHARED
from tapedeck_common.settings import Connections
from tapedeck_common.tracing import RecordSpan
from tapedeck_common.wire import Headers
from tapedeck_crds.errors import Fenced, Unavailable
from tapedeck_replay.errors import TransactionAborted, describe_kafka_error
from tapedeck_replay.output.mirroring import MirrorTopic

HUNG_SECONDS = 13.0  # longer than the timeout of any single call
WATCH_SECONDS = 1.0
CLOSE_SECONDS = 3.0
T = TypeVar("T")


class Watchdog:
    """Calls ``on_hang``, from its own thread, when a block under ``limit`` exceeds its limit.

    librdkafka can stay in send_offsets_to_transaction for ever, whatever its timeout, after the group's coordinator
    was unreachable (its issue 5511). Only a new process ends that.
    """

    def __init__(self, on_hang: Callable[[], None]) -> None:
        self._on_hang = on_hang
        self._deadlines: dict[int, float] = {}  # by thread
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Limit the time of a block; blocks of one thread must not be nested."""
        thread = threading.get_ident()
        self._deadlines[thread] = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._deadlines[thread]

    def _watch(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            if time.monotonic() > min(list(self._deadlines.values()), default=math.inf):
                self._on_hang()
                return


class TransactionalWriter:
    """Writes one partition, and copies to mirror topics, under one transactional id.

    Raises Fenced, TransactionAborted and Unavailable.
    """

    def __init__(
        self,
        connections: Connections,
        partition: TopicPartition,
        transactional_id: str,
        watchdog: Watchdog,
        shared: bool,
    ) -> None:
        self._topic, self._shard = partition.topic, partition.partition
        self._watchdog = watchdog
        self._producer: Producer = transactional_producer(connections, transactional_id, SHARED if shared else None)
        self.in_transaction = False
        self.records = 0  # of the last transaction, on the partition
        self.last_offset: int | None = None  # of its last control record; None if it is not known
        self.copied: dict[Partition, int] = {}  # the last offset of its copies
        self.refusal: KafkaError | None = None  # of one of its control records

    def open(self) -> None:
        """Fence the predecessor with this transactional id, and abort the transaction that it left open."""
        self._call(lambda: self._producer.init_transactions(CALL_SECONDS))

    def begin(self) -> None:
        with self._translated_errors():
            self._producer.begin_transaction()
        self.in_transaction = True
        self.records, self.last_offset, self.copied, self.refusal = 0, None, {}, None

    def produce(
        self,
        keys: Sequence[bytes],
        values: Sequence[bytes],
        headers: Headers,
        mirrors: Sequence[MirrorTopic],
        span: RecordSpan | None = None,
    ) -> None:
        """Hand records to the producer. The whole transaction must fit the producer's queue.

        With ``span`` they belong to its trace.
        """
        added: Headers = [] if span is None else [span.header]
        own = headers if span is None else [*headers, *added]
        # A loop without bytecode costs a third less. After the partition: two callbacks, timestamp, headers.
        calls = map(
            self._producer.produce,
            repeat(self._topic),
            values,
            keys,
            repeat(self._shard),
            repeat(None if span is None else span.on_delivery),
            repeat(None),
            repeat(0),
            repeat(own),
        )
        self.records += len(values)
        with self._translated_errors():
            deque(calls, maxlen=0)
            for mirror in mirrors:
                self._produce_copies(keys, values, [*(mirror.headers or headers), *added], mirror)

    def produce_control(self, value: bytes, headers: Headers) -> None:
        """Hand a control record to the producer."""
        self.records += 1
        with self._translated_errors():
            self._producer.produce(
                self._topic, value, partition=self._shard, headers=headers, on_delivery=self._on_delivery
            )

    def produce_on(self, place: TopicPartition, value: bytes, headers: Headers) -> None:
        """Hand a control record for any partition to the producer."""
        with self._translated_errors():
            self._producer.produce(
                place.topic, value, partition=place.partition, headers=headers, on_delivery=self._on_delivery
            )

    def _produce_copies(
        self, keys: Sequence[bytes], values: Sequence[bytes], headers: Headers, mirror: MirrorTopic
    ) -> None:
        last_of_key = dict(zip(keys, range(len(keys)), strict=True))  # the last ones tell how far each partition got
        for number, (key, value) in enumerate(zip(keys, values, strict=True)):
            self._producer.produce(
                mirror.topic,
                *mirror.rewrite(value, key),
                headers=headers,
                on_delivery=self._on_copy_delivery if last_of_key[key] == number else None,
            )

    def _on_copy_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            partition, offset = message_partition(message), message_offset(message)
            self.copied[partition] = max(offset, self.copied.get(partition, offset))

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        self.last_offset = message.offset() if error is None else None
        self.refusal = self.refusal or error

    def flush(self) -> bool:
        """Wait until the broker has every record of the transaction.

        False if that takes too long, or it refuses a control record.
        """
        with self._translated_errors():
            return self._producer.flush(CALL_SECONDS) == 0 and self.refusal is None

    def commit(self, offset: TopicPartition, group: Consumer) -> None:
        """Commit the open transaction together with the group's offset."""
        self._call(
            lambda: self._producer.send_offsets_to_transaction([offset], group.consumer_group_metadata(), CALL_SECONDS)
        )
        self._call(lambda: self._producer.commit_transaction(CALL_SECONDS))
        self.in_transaction = False

    def abort(self) -> None:
        """Abort the open transaction, if there is one."""
        if self.in_transaction:
            self.in_transaction = False
            self._call(lambda: self._producer.abort_transaction(CALL_SECONDS))

    def close(self) -> None:
        """Try to abort the open transaction; if the broker does not answer at once, the successor aborts it."""
        if self.in_transaction:
            with contextlib.suppress(KafkaException, SystemError):
                self._producer.abort_transaction(CLOSE_SECONDS)

    def _call(self, request: Callable[[], T]) -> T:
        """Send a request to the broker, and repeat it if the error is retriable."""
        with self._translated_errors():
            try:
                with self._watchdog.limit(HUNG_SECONDS):
                    return request()
            except KafkaException as error:
                if not _is_retriable(error):
                    raise
            for attempt in stamina.retry_context(on=_is_retriable, attempts=3, timeout=60.0, wait_max=2.0):
                with attempt, self._watchdog.limit(HUNG_SECONDS):
                    return request()
        raise AssertionError("unreachable: the last attempt raises")

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise the client's errors as Fenced, TransactionAborted or Unavailable."""
        try:
            yield
        except (KafkaException, SystemError) as error:
            fault = client_error(error)
            if fault.code() in FENCED:
                why = "another pod has taken over, or a transaction was open for so long that the broker ended it"
                raise Fenced(f"{self._topic} shard {self._shard}: {why} ({fault.str()})") from error
            problem = f"{self._topic}: {describe_kafka_error(fault)}"
            raise (TransactionAborted if _needs_abort(fault) else Unavailable)(problem) from error
        except BufferError as error:
            raise TransactionAborted(f"{self._topic}: the producer's queue is full ({error})") from error


def _needs_abort(fault: KafkaError) -> bool:
    # produce() reports only that the transaction's state forbids it; the abort then raises the cause.
    return fault.txn_requires_abort() or fault.code() in (KafkaError._STATE, KafkaError._FATAL)


def _is_retriable(error: Exception) -> bool:
    return isinstance(error, KafkaException) and kafka_error(error).retriable()
