"""Where the log continues after what was read: a broker may lose the end of its log and write others in its place.

A stored offset alone does not show that. The leader epoch of the record before it does: a broker that becomes a
partition's leader, also by a restart, begins a new epoch at the end of its log (KIP-320).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from tapedeck_common.kafka import consumer, is_transient
from tapedeck_common.settings import Connections
from tapedeck_recorder.kafka.positions import to_topic_partition
from tapedeck_recorder.rows.batch import NO_OFFSET, LogPosition, Partition

ANSWER_SECONDS = 10.0
_PROBE = {
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,  # the answer where nothing follows
    "isolation.level": "read_uncommitted",  # an open transaction would hide what follows
    "fetch.message.max.bytes": 1_024,
}


def continuations(
    connections: Connections, client_id: str, group: str, positions: Mapping[Partition, LogPosition]
) -> dict[Partition, int]:
    """The offset at which the log of each partition continues after a position. Raises KafkaException.

    It is below the position where the broker has lost records before it, and above where retention has deleted those
    after it. Without a leader epoch, a shorter log continues at its start, and one that has grown again looks whole.
    Partitions that were never read, or that the broker does not have, are left out.
    """
    asked = {partition: position for partition, position in positions.items() if position.offset != NO_OFFSET}
    if not asked:
        return {}
    # librdkafka compares epochs where it learns of a partition's leader, not in each assign: this takes a new client.
    probe = consumer(connections, client_id, group, _PROBE)
    try:
        probe.assign([to_topic_partition(partition, position) for partition, position in asked.items()])
        return _answers(probe, set(asked))
    finally:
        probe.close()


def _answers(probe: Consumer, waiting: set[Partition]) -> dict[Partition, int]:
    found: dict[Partition, int] = {}
    deadline = time.monotonic() + ANSWER_SECONDS
    while waiting:
        message = probe.poll(0.1)
        if message is not None and (partition := _answered(message)) in waiting:
            waiting.remove(partition)
            if (offset := message.offset()) is not None:
                found[partition] = offset
        elif time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the broker did not answer for all partitions"))
    return found


def _answered(message: Message) -> Partition | None:
    """The partition about which a message says how it continues, or that it does not exist."""
    topic, partition, error = message.topic(), message.partition(), message.error()
    if topic is None or partition is None or (error is not None and is_transient(KafkaException(error))):
        return None
    return topic, partition
