"""The replay's partition, written in transactions that hold the position too.

Two transactional ids take turns: while the one's transaction is being committed, the other's next is written.
What makes that as strict as a single id:

- A transaction's first record is handed over when the broker has all of the one before: the order on the log is
  the order of publishing.
- A transaction is committed only after the one before is: what is committed, positions included, is never more
  than a beginning of what was published.
- A successor takes over both ids before it reads the position: from then on nobody else can commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from confluent_kafka import Consumer, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import consumer
from tapedeck_common.settings import Connections
from tapedeck_common.wire import ControlRecord, Epoch
from tapedeck_replay.copies import Copy
from tapedeck_replay.position import Position, to_metadata
from tapedeck_replay.watchdog import Watchdog
from tapedeck_replay.writer import CLOSE_SECONDS, Writer

TURNS = 2


class Output:
    """One partition of a replay's topic, and copies elsewhere. ``open`` fences whoever wrote it before.

    ``committed`` is called, from another thread, when a commit is over. Raises Fenced, Aborted and Unavailable.
    """

    def __init__(
        self,
        connections: Connections,
        topic: str,
        shard: int,
        uid: str,
        on_hang: Callable[[], None],
        committed: Callable[[], None],
        shared: bool = False,
    ) -> None:
        self.topic, self.shard = topic, shard
        self._uid = uid
        self._committed = committed
        self.shared = shared  # with others who wait while a transaction is open
        self.copies: Sequence[Copy] = ()
        watchdog, partition = Watchdog(on_hang), TopicPartition(topic, shard)
        ids = [f"{topic}.{shard}.{turn}" for turn in range(TURNS)]
        self._writer, self._other = (Writer(connections, partition, id, watchdog, shared) for id in ids)
        # Never subscribes: it stands for the group in transactions and reads its offset.
        self.group: Consumer = consumer(connections, f"{topic}.{shard}.position", topic)
        self._headers: wire.Headers = []
        self._control_headers: wire.Headers = []
        self.set_epoch(Epoch())
        self._threads = ThreadPoolExecutor(TURNS, "commit")
        self._commit: Future[None] | None = None
        self._flushed = threading.Event()  # the broker has what was handed over for the commit under way
        self._flushed.set()

    def open(self) -> None:
        """Fence the predecessor and abort what it left open."""
        for opened in [self._threads.submit(writer.open) for writer in (self._writer, self._other)]:
            opened.result()

    def set_epoch(self, epoch: Epoch) -> None:
        """What the headers of the following records say."""
        self._headers = wire.replay_headers(self._uid, epoch)
        self._control_headers = wire.replay_headers(self._uid, epoch, control=True)

    @property
    def in_transaction(self) -> bool:
        """Whether one is open that is not being committed yet."""
        return self._writer.in_transaction

    @property
    def committing(self) -> bool:
        """Whether a commit is under way."""
        return self._commit is not None and not self._commit.done()

    def begin(self) -> None:
        """Begin a transaction, as soon as the broker has what was handed over for the one before."""
        self._flushed.wait()
        self._writer.begin()

    def bars(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Hand over bars. They must fit the producer's queue together with the rest of the transaction."""
        self._writer.bars(keys, values, self._headers, self.copies)

    def control(self, record: ControlRecord) -> None:
        """Hand over a control record."""
        self._writer.control(wire.encode(record), self._control_headers)

    def commit(self, position: Position) -> None:
        """Have the open transaction committed together with the position, once the one before is."""
        self.settle()
        offset = TopicPartition(self.topic, self.shard, position.published, metadata=to_metadata(position))
        self._flushed = threading.Event()
        self._commit = self._threads.submit(self._finish, self._writer, offset, self._flushed)
        self._commit.add_done_callback(lambda _: self._committed())
        self._writer, self._other = self._other, self._writer

    def _finish(self, writer: Writer, offset: TopicPartition, flushed: threading.Event) -> None:
        """Flush and commit; by one thread, for librdkafka's flush looks each 10 ms only where two wait for it."""
        try:
            if writer.flush():
                flushed.set()
            writer.commit(offset, self.group)
        finally:
            flushed.set()

    def settle(self) -> None:
        """Wait for the commit that is under way, if there is one. Raises what came of the last one."""
        if self._commit is not None:
            self._commit.result()

    def abort(self) -> None:
        """Give up what is open, and what could not be committed."""
        if self._commit is not None:
            wait([self._commit])
            self._commit = None
        for writer in (self._other, self._writer):
            writer.abort()

    def close(self) -> None:
        """Leave; what is open is aborted if the broker takes that at once, else by the successor."""
        if self._commit is not None:
            wait([self._commit], CLOSE_SECONDS)
        if not self.committing:
            self._other.leave()
        self._writer.leave()
        self._threads.shutdown(wait=False)
        self.group.close()
