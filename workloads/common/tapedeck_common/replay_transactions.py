"""A Replay's transactions: their ids, how long one may take, and the end of those that were left open."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tapedeck_common import wire
from tapedeck_common.kafka import client_error, transactional_producer
from tapedeck_common.log_positions import Partition
from tapedeck_common.settings import Connections

WRITERS = 2  # of a shard
# The open transaction of a killed producer hides later records of a shared topic from its other readers, for so long.
SHARED_TIMEOUT_MS = 5_000
SHARED = {"transaction.timeout.ms": SHARED_TIMEOUT_MS, "delivery.timeout.ms": SHARED_TIMEOUT_MS}
CALL_SECONDS = 10.0  # of one request to the broker
# Another producer has the transactional id, or the broker has ended a transaction that was open for too long.
FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.FENCED_INSTANCE_ID,
}


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
    try:
        _abort_a_transaction(client, uid, partitions)
    except SystemError as error:
        raise KafkaException(client_error(error)) from error


def _abort_a_transaction(client: Producer, uid: str, partitions: Iterable[Partition]) -> None:
    refusals: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refusals.append(error)

    client.init_transactions(CALL_SECONDS)
    client.begin_transaction()
    headers = wire.replay_headers(uid, wire.Epoch(), control=True)
    for topic, number in partitions:
        client.produce(topic, aborted_record(), partition=number, headers=headers, on_delivery=delivered)
    remaining = client.flush(CALL_SECONDS)
    client.abort_transaction(CALL_SECONDS)
    if remaining or any(each.code() == KafkaError._MSG_TIMED_OUT for each in refusals):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the broker took no record that ends a transaction"))
    if refusals:
        raise KafkaException(refusals[0])
