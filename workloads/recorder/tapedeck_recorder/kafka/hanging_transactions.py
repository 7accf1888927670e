"""Ends transactions of Replays that hide the market from its readers, where no pod of the Replay is left to end them.

The broker ends a transaction whose producer is gone when its timeout has passed. It does not where it has lost the end
of one that its coordinator has completed: readers of committed records would wait at its first record for ever.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common import wire
from tapedeck_common.kafka import admin, consumer
from tapedeck_common.log_positions import Partition, list_offsets
from tapedeck_common.logs import log
from tapedeck_common.replay_transactions import abort_left_open, transactional_ids
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, MARKET_TRADES, PERMANENT_PARTITIONS, RECORDER_GROUP, replay_topic
from tapedeck_crds.replay import SHARDS_MAX

LOOK_SECONDS = 5.0
# The broker ends what it knows to be open sooner: 5 s after it began, and it looks every 10 s.
HANGING_SECONDS = 20.0
READ_SECONDS = 10.0
CLIENT_ID = "tapedeck-recorder-transactions"
_MIRRORED = [(topic, number) for topic in (MARKET_BARS, MARKET_TRADES) for number in range(PERMANENT_PARTITIONS)]


class HangingTransactions:
    """Looks for transactions on the topics that Replays mirror to. Every method raises KafkaException."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._client = admin(connections, CLIENT_ID)
        self._since: dict[Partition, tuple[int, float]] = {}  # the first hidden offset, and since when (monotonic)

    def look(self) -> None:
        """End the transactions that are open for longer than the broker allows them."""
        now, blocked = time.monotonic(), self._blocked(_MIRRORED)
        known = self._since
        self._since = {
            each: known[each] if known.get(each, (None,))[0] == offset else (offset, now)
            for each, offset in blocked.items()
        }
        hanging = {each: offset for each, (offset, since) in self._since.items() if now - since > HANGING_SECONDS}
        for uid, partitions in self._by_replay(hanging).items():
            self._end(uid, partitions)

    def _blocked(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Where readers of committed records cannot read on, of partitions with such a place."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        reached = list_offsets(self._client, partitions, latest, readers=IsolationLevel.READ_COMMITTED)
        ends = list_offsets(self._client, partitions, latest)
        return {each: at.offset for each, at in reached.items() if at.offset < ends[each].offset}

    def _by_replay(self, hanging: Mapping[Partition, int]) -> dict[str, list[Partition]]:
        """The uid of the Replay whose transaction begins at each place. Those of other programs are left alone."""
        found: dict[str, list[Partition]] = defaultdict(list)
        for partition, offset in hanging.items():
            if uid := self._writer(partition, offset):
                found[uid].append(partition)
        return found

    def _writer(self, partition: Partition, offset: int) -> str:
        """The uid of the Replay that wrote a record; empty where another program did."""
        reader = consumer(self._connections, CLIENT_ID, RECORDER_GROUP, {"isolation.level": "read_uncommitted"})
        try:
            reader.assign([TopicPartition(*partition, offset)])
            message = reader.poll(READ_SECONDS)
            origin = wire.origin_of(message.headers()) if message is not None and message.error() is None else None
        except ValueError:
            return ""
        finally:
            reader.close()
        return "" if origin is None else origin.replay_uid or origin.copied_from

    def _end(self, uid: str, partitions: list[Partition]) -> None:
        """End a Replay's transactions, which also ends its pods; the operator starts those that are wanted again."""
        topic = replay_topic(uid)
        described = self._client.list_topics(topic, timeout=READ_SECONDS).topics[topic]
        places = [f"{name}/{number}" for name, number in partitions]
        log.error("the broker lost the end of a transaction", replay=uid, partitions=places)
        for shard in range(len(described.partitions) or SHARDS_MAX):  # the topic of a deleted Replay is deleted
            for transactional_id in transactional_ids(topic, shard):
                abort_left_open(self._connections, transactional_id, uid, partitions)
            if not self._blocked(partitions):
                return


def end_hanging_transactions(connections: Connections, stop: threading.Event) -> None:
    """Look every LOOK_SECONDS until ``stop`` is set. What fails is tried again."""
    transactions = HangingTransactions(connections)
    while not stop.wait(LOOK_SECONDS):
        try:
            transactions.look()
        except KafkaException as error:
            log.warning("looking for hanging transactions failed", reason=str(error))
