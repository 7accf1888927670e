"""Ends transactions of Replays that hide the market from its readers, because the broker has lost their end.

The broker ends a transaction whose producer is gone when its timeout has passed. It does not where it has lost the end
of one that its coordinator has completed: readers of committed records would wait at its first record for ever. A pod
of the Replay that starts, or whose transaction is aborted, ends it sooner.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import admin, consumer, is_transient, kafka_error
from tapedeck_common.log_positions import Partition, hidden_from
from tapedeck_common.logs import log
from tapedeck_common.replay_transactions import FENCED, abort_left_open, transactional_ids
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, MARKET_TRADES, PERMANENT_PARTITIONS, RECORDER_GROUP, replay_topic
from tapedeck_crds.replay import SHARDS_MAX

LOOK_SECONDS = 5.0
# The broker ends what it knows to be open sooner: 5 s after it began, and it looks every 10 s.
HANGING_SECONDS = 20.0
MARKER_SECONDS = 2.0  # for the end of an aborted transaction to be on the log
READ_SECONDS = 10.0
CLIENT_ID = "tapedeck-recorder-transactions"
NO_END = "a transaction has no end: readers wait for it; kafka-transactions.sh of the broker finds and aborts it"
_MIRRORED = [(topic, number) for topic in (MARKET_BARS, MARKET_TRADES) for number in range(PERMANENT_PARTITIONS)]

Places = dict[Partition, int]
"""The first offset that is hidden, by partition."""


class HangingTransactions:
    """Looks for transactions on the topics that Replays mirror to. Every method raises KafkaException."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._client = admin(connections, CLIENT_ID)
        self._since: dict[Partition, tuple[int, float]] = {}  # the first hidden offset, and since when (monotonic)
        self._tried: Places = {}

    def look(self) -> None:
        """End the transactions that are open for longer than the broker allows them.

        Each is tried once, since that also ends the pods of its Replay. It is tried again where the broker does not
        answer, and where somebody else does the same.
        """
        try:
            self._end_all(self._hanging())
        except KafkaException:
            self._since = {}  # a broker that is down ends no transaction
            raise

    def _hanging(self) -> Places:
        asked, hidden = time.monotonic(), hidden_from(self._client, _MIRRORED)
        known = self._since
        self._since = {
            each: known[each] if known.get(each, (None,))[0] == offset else (offset, time.monotonic())
            for each, offset in hidden.items()
        }
        self._tried = _still(self._tried, hidden)
        return {
            each: offset
            for each, (offset, since) in self._since.items()
            if asked - since > HANGING_SECONDS and each not in self._tried
        }

    def _end_all(self, hanging: Places) -> None:
        by_replay: dict[str, Places] = defaultdict(dict)
        for partition, offset in hanging.items():
            by_replay[self._writer(partition, offset)][partition] = offset
        for uid, places in by_replay.items():
            if uid:
                left, reason = self._try_to_end(uid, places)
            else:
                left, reason = places, "another program began it"
            self._tried |= places
            of = {"kind": "Replay", "uid": uid} if uid else {}
            for (topic, number), offset in left.items():
                log.error(NO_END, topic=topic, partition=number, offset=offset, reason=reason, **of)

    def _try_to_end(self, uid: str, places: Places) -> tuple[Places, str]:
        """End a Replay's transactions. Returns what is still hidden, and why."""
        try:
            return self._end(uid, places), "it is none of the Replay's transactional ids"
        except KafkaException as error:
            if is_transient(error) or kafka_error(error).code() in FENCED:
                raise
            return self._left(places), str(error)

    def _writer(self, partition: Partition, offset: int) -> str:
        """The uid of the Replay that wrote a record; empty where another program did."""
        reader = consumer(self._connections, CLIENT_ID, RECORDER_GROUP, {"isolation.level": "read_uncommitted"})
        try:
            reader.assign([TopicPartition(*partition, offset)])
            message = reader.poll(READ_SECONDS)
            if message is not None and (error := message.error()) is not None:
                raise KafkaException(error)
            if message is None or message.offset() != offset:  # the broker has lost it meanwhile
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{partition}: no record at offset {offset}"))
            origin = wire.origin_of(message.headers())
        except ValueError:
            return ""
        finally:
            reader.close()
        return origin.replay_uid or origin.copied_from

    def _end(self, uid: str, places: Places) -> Places:
        """End a Replay's transactions, which also ends its pods; the operator starts those that are wanted again.

        Nothing tells the shard that began them, so one is tried after the other. Returns what is still hidden.
        """
        topic = replay_topic(uid)
        described = self._client.list_topics(topic, timeout=READ_SECONDS).topics[topic]
        lost = [f"{of}/{number}" for of, number in places]
        log.error("the broker lost the end of a transaction", kind="Replay", uid=uid, partitions=lost)
        for shard in range(len(described.partitions) or SHARDS_MAX):  # the topic of a deleted Replay is deleted
            for transactional_id in transactional_ids(topic, shard):
                abort_left_open(self._connections, transactional_id, uid, places)
            if not (places := self._left(places)):
                break
        return places

    def _left(self, places: Places) -> Places:
        """What is hidden from the same offset on, once those that were just ended had their time to show it."""
        deadline = time.monotonic() + MARKER_SECONDS
        while (places := _still(places, hidden_from(self._client, places))) and time.monotonic() < deadline:
            time.sleep(0.1)
        return places


def _still(places: Places, hidden: Mapping[Partition, int]) -> Places:
    return {each: offset for each, offset in places.items() if hidden.get(each) == offset}


def end_hanging_transactions(connections: Connections, stop: threading.Event) -> None:
    """Look every LOOK_SECONDS until ``stop`` is set. What the broker does not answer is tried again."""
    transactions = HangingTransactions(connections)
    while not stop.wait(LOOK_SECONDS):
        try:
            transactions.look()
        except KafkaException as error:
            log.warning("looking for hanging transactions failed", reason=str(error))
