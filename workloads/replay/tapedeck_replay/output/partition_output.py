"""The replay's partition, written in transactions that contain the position too.

Two transactional ids alternate: while one's transaction is being committed, the other's next one is written. Three
rules make this as strict as a single id:

- The first record of a transaction is handed over only when the broker has all of the previous one: the order on the
  log is the order of publishing.
- A transaction is committed only after the previous one is: what is committed, positions included, is always a prefix
  of what was published.
- A successor fences both ids before it reads the position: from then on no other pod can commit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import consumer, is_transient, kafka_error
from tapedeck_common.log_positions import LogPosition, Partition
from tapedeck_common.published_log import PublishedLog
from tapedeck_common.replay_transactions import WRITERS, aborted_record, transactional_ids
from tapedeck_common.settings import Connections
from tapedeck_common.tracing import RecordSpan, tracer
from tapedeck_common.wire import ControlRecord, Epoch
from tapedeck_crds.errors import Unavailable
from tapedeck_replay import metrics
from tapedeck_replay.errors import TransactionAborted, describe_kafka_error, lost_records
from tapedeck_replay.output.mirroring import MirrorTopic
from tapedeck_replay.output.position import ReplayPosition, to_metadata
from tapedeck_replay.output.writer import CLOSE_SECONDS, TransactionalWriter, Watchdog


class PartitionOutput:
    """One partition of a replay's topic, and its mirror topics. ``open`` fences the predecessor.

    ``on_commit`` is called, from another thread, when a commit has succeeded or failed. ``shared`` are the partitions
    of the mirror topic, whose other readers wait while a transaction is open. Raises Fenced, TransactionAborted and
    Unavailable.
    """

    def __init__(
        self,
        connections: Connections,
        topic: str,
        shard: int,
        uid: str,
        on_hang: Callable[[], None],
        on_commit: Callable[[], None],
        shared: Sequence[TopicPartition] = (),
    ) -> None:
        self.topic, self.shard, self.uid = topic, shard, uid
        self.partition = TopicPartition(topic, shard)
        self._on_commit = on_commit
        self.shared = bool(shared)
        self.shared_partitions = shared
        self.mirrors: Sequence[MirrorTopic] = ()
        self._copies = PublishedLog(connections, topic, [(each.topic, each.partition) for each in shared])
        watchdog = Watchdog(on_hang)
        self._writer, self._other = (
            TransactionalWriter(connections, self.partition, each, watchdog, self.shared)
            for each in transactional_ids(topic, shard)
        )
        self._tracer = tracer()
        self._span: RecordSpan | None = None  # of the record of the open transaction that is traced
        self._last_offset: int | None = None  # of the last transaction's last record
        # Never subscribes: it represents the group in transactions and reads its committed offset.
        self.group: Consumer = consumer(connections, f"{topic}.{shard}.position", topic)
        self._headers: wire.Headers = []
        self._control_headers: wire.Headers = []
        self.set_epoch(Epoch())
        self._threads = ThreadPoolExecutor(WRITERS, "commit")
        self._pending_commit: Future[None] | None = None
        self._flushed = threading.Event()  # the broker has every record of the transaction being committed
        self._flushed.set()

    def open(self) -> None:
        """Fence the predecessor, and abort the transactions that it left open."""
        for opened in [self._threads.submit(writer.open) for writer in (self._writer, self._other)]:
            opened.result()

    def abort_unfinished(self) -> None:
        """Abort what is left of the predecessor's transactions on the partition, by an aborted one of each id.

        ``open`` aborts those that the broker's coordinator knows to be open. Where the partition lost the end of one
        that the coordinator has completed, the next commit would make the rest of it visible.
        """
        self.abort_on([self.partition])

    def abort_on(self, places: Sequence[TopicPartition]) -> None:
        """Abort on these partitions what is left of this Replay's transactions. None may be open."""
        for writer in (self._writer, self._other):
            writer.begin()
            for place in places:
                writer.produce_on(place, aborted_record(), self._control_headers)
            taken, refusal = writer.flush(), writer.refusal
            writer.abort()
            if not taken:  # nothing of this id is on the partition that the broker could abort
                reason = "" if refusal is None else f": {describe_kafka_error(refusal)}"
                raise TransactionAborted(f"the broker did not take the records that end a transaction{reason}")

    def lost_copies(self, known: Mapping[int, LogPosition] | None = None) -> dict[Partition, range]:
        """The offsets on the mirror topic that the broker has lost, up to this Replay's last copy, each told once.

        ``known`` are the positions that an earlier pod committed. No transaction may be open. Raises KafkaException.
        """
        if not self.shared:
            return {}
        topic = self.shared_partitions[0].topic
        self._copies.confirmed |= {(topic, number): position for number, position in (known or {}).items()}
        before = dict(self._copies.confirmed)
        return {each: range(end, before[each].offset) for each, end in self._copies.missing().items()}

    def set_epoch(self, epoch: Epoch) -> None:
        """Put this epoch in the headers of the following records."""
        self._headers = wire.replay_headers(self.uid, epoch)
        self._control_headers = wire.replay_headers(self.uid, epoch, control=True)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open for writing."""
        return self._writer.in_transaction

    @property
    def committing(self) -> bool:
        """Whether a commit is pending."""
        return self._pending_commit is not None and not self._pending_commit.done()

    def begin(self) -> None:
        """Begin a transaction, as soon as the broker has every record of the previous one."""
        self._flushed.wait()
        self._writer.begin()

    def produce(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Hand over market data. The whole transaction must fit the producer's queue."""
        if self._tracer is not None and self._span is None and keys:
            self._span = self._tracer.publish(self.topic, keys[0])
            if self._span is not None:
                self._writer.produce(keys[:1], values[:1], self._headers, self.mirrors, self._span)
                keys, values = keys[1:], values[1:]
        self._writer.produce(keys, values, self._headers, self.mirrors)

    def produce_control(self, record: ControlRecord) -> None:
        """Hand over a control record."""
        self._writer.produce_control(wire.encode(record), self._control_headers)

    def commit(self, position: ReplayPosition) -> None:
        """Start to commit the open transaction together with the position, once the previous one is committed."""
        self.wait_committed()
        self._flushed = threading.Event()
        span, self._span = self._span, None
        self._pending_commit = self._threads.submit(self._flush_and_commit, self._writer, position, self._flushed, span)
        self._pending_commit.add_done_callback(lambda _: self._on_commit())
        self._writer, self._other = self._other, self._writer

    def _flush_and_commit(
        self, writer: TransactionalWriter, position: ReplayPosition, flushed: threading.Event, span: RecordSpan | None
    ) -> None:
        """Flush and commit in one thread: with two waiting threads librdkafka's flush only polls every 10 ms."""
        started = time.monotonic()
        try:
            if writer.flush():
                flushed.set()
            self._require_growth(writer)
            metadata = to_metadata(msgspec.structs.replace(position, copies=self._confirmed_copies(writer)))
            offset = TopicPartition(self.topic, self.shard, position.published, metadata=metadata)
            writer.commit(offset, self.group)
            metrics.COMMIT_SECONDS.observe(time.monotonic() - started)
            if span is not None:
                span.end()
        finally:
            flushed.set()

    def _require_growth(self, writer: TransactionalWriter) -> None:
        """Raises Unavailable where the broker has lost the end of the transaction before.

        Between the last records of two transactions are those of the second, and at most transaction markers.
        """
        before, self._last_offset = self._last_offset, writer.last_offset
        if before is None or self._last_offset is None or self._last_offset - before >= writer.records:
            return
        raise Unavailable(lost_records(self.topic, self.shard))

    def _confirmed_copies(self, writer: TransactionalWriter) -> dict[int, LogPosition]:
        """The positions after all copies. Raises TransactionAborted where the broker may have lost some of these, and
        where it does not answer at once: other readers of the mirror topic wait.
        """
        try:
            if writer.copied and not self._copies.confirm(writer.copied):
                raise TransactionAborted(f"{self.topic}: the mirror topic has another leader, which may lack records")
        except KafkaException as error:
            problem = f"{self.topic}: {describe_kafka_error(kafka_error(error))}"
            raise (TransactionAborted if is_transient(error) else Unavailable)(problem) from error
        return {number: position for (_, number), position in self._copies.confirmed.items()}

    def wait_committed(self) -> None:
        """Wait for the pending commit, if there is one. Raises the error of the last commit."""
        if self._pending_commit is not None:
            self._pending_commit.result()

    def abort(self) -> None:
        """Abort the open transaction, and the one whose commit failed."""
        if self._pending_commit is not None:
            wait([self._pending_commit])
            self._pending_commit = None
        self._span = None
        self._last_offset = None  # records of what is aborted may follow it
        for writer in (self._other, self._writer):
            writer.abort()

    def close(self) -> None:
        """Try to abort what is open; if the broker does not answer at once, the successor aborts it."""
        if self._pending_commit is not None:
            wait([self._pending_commit], CLOSE_SECONDS)
        if not self.committing:
            self._other.close()
        self._writer.close()
        self._threads.shutdown(wait=False)
        self.group.close()
