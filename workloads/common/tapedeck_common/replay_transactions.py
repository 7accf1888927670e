"""A Replay's transactions: their ids, how long one may take, and the end of those that were left open."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException

from tapedeck_common import wire
from tapedeck_common.kafka import transactional_producer
from tapedeck_common.log_positions import Partition
from tapedeck_common.settings import Connections

WRITERS = 2  # of a shard
# The open transaction of a killed producer hides later records of a shared topic from its other readers, for so long.
SHARED_TIMEOUT_MS = 5_000
SHARED = {"transaction.timeout.ms": SHARED_TIMEOUT_MS, "delivery.timeout.ms": SHARED_TIMEOUT_MS}
CALL_SECONDS = 10.0


def transactional_ids(topic: str, shard: int) -> list[str]:
    """The ids that take turns on a partition of a Replay's topic."""
    return [f"{topic}.{shard}.{number}" for number in range(WRITERS)]


def aborted_record() -> bytes:
    """A record for a transaction that is aborted: nobody reads it."""
    return wire.encode(wire.EpochStart(str(wire.Epoch()), 0, "seek"))


def abort_left_open(connections: Connections, transactional_id: str, uid: str, partitions: Iterable[Partition]) -> None:
    """Fence the producer with this id, and abort on these partitions what it left open. Raises KafkaException.

    The broker's coordinator aborts what it knows to be open. Where a partition lost the end of a transaction that the
    coordinator has completed, the end of another one of the same id ends both.
    """
    client = transactional_producer(connections, transactional_id, SHARED)
    client.init_transactions(CALL_SECONDS)
    client.begin_transaction()
    for topic, number in partitions:
        headers = wire.replay_headers(uid, wire.Epoch(), control=True)
        client.produce(topic, aborted_record(), partition=number, headers=headers)
    remaining = client.flush(CALL_SECONDS)
    client.abort_transaction(CALL_SECONDS)
    if remaining:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{transactional_id}: the broker took no record"))
