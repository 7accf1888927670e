"""Positions on the log as the Kafka client takes and gives them."""

from __future__ import annotations

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from tapedeck_recorder.rows.batch import NO_OFFSET, LogPosition, Partition


def to_topic_partition(partition: Partition, position: LogPosition, metadata: str = "") -> TopicPartition:
    """Where to start, or what to commit; the log's beginning where nothing was read."""
    offset = OFFSET_BEGINNING if position.offset == NO_OFFSET else position.offset
    epoch = -1 if position.leader_epoch is None else position.leader_epoch
    return TopicPartition(*partition, offset, metadata, epoch)


def from_topic_partition(place: TopicPartition) -> LogPosition:
    """Where a client is, or what it has committed."""
    return LogPosition(place.offset, place.leader_epoch) if place.offset >= 0 else LogPosition()
