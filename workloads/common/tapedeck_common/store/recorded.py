"""Waiting until the store holds what is on the log: a run that starts right behind a Feed must see all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import stamina
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common.kafka import admin, answer, error_of, passing
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, RECORDER_GROUP

STALL_SECONDS = 10.0  # a recorder that wrote nothing for so long is not waited for
POLL_SECONDS = 0.05
REQUEST_TIMEOUT = 10.0


def wait_recorded(
    connections: Connections,
    connection: psycopg.Connection[Any],
    pulse: Callable[[], None] = lambda: None,
    topic: str = MARKET_BARS,
) -> int:
    """Wait until the store holds all that is on a market's topic now; returns how many records it still lacks.

    Above 0 where the recorder stands still. Where none ever ran on this database and none does now there is
    nothing to wait for. ``pulse`` is called while waiting; what it raises ends the wait. Raises KafkaException
    and psycopg.Error.
    """
    ends, topic_id, recorder_runs = _ask(admin(connections, "tapedeck-recorded"), topic)
    lacking = _lacking(connection, topic_id, ends)
    if lacking is None and not recorder_runs:
        return 0
    best, since = lacking, time.monotonic()
    while (missing := sum(ends.values()) if lacking is None else lacking) and time.monotonic() - since < STALL_SECONDS:
        pulse()
        time.sleep(POLL_SECONDS)
        lacking = _lacking(connection, topic_id, ends)
        if lacking != best:
            best, since = lacking, time.monotonic()
    return missing


@stamina.retry(on=passing, attempts=8, timeout=30.0, wait_max=2.0)
def _ask(client: AdminClient, name: str) -> tuple[dict[int, int], str, bool]:
    """Where each partition ends, the topic's id, and whether a recorder is at work."""
    asked = client.describe_topics(TopicCollection([name]), request_timeout=REQUEST_TIMEOUT)
    try:
        topic = answer(client, asked[name], REQUEST_TIMEOUT)
    except KafkaException as error:
        if error_of(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return {}, "", False  # a broker without live markets
        raise
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    places = {TopicPartition(name, p.id): latest for p in topic.partitions}
    ends = {
        place.partition: answer(client, future, REQUEST_TIMEOUT).offset
        for place, future in client.list_offsets(places, request_timeout=REQUEST_TIMEOUT).items()
    }
    return ends, str(topic.topic_id), _recorder_runs(client)


def _recorder_runs(client: AdminClient) -> bool:
    group = client.describe_consumer_groups([RECORDER_GROUP], request_timeout=REQUEST_TIMEOUT)[RECORDER_GROUP]
    try:
        return bool(answer(client, group, REQUEST_TIMEOUT).members)
    except KafkaException as error:
        if error_of(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
            return False
        raise


def _lacking(connection: psycopg.Connection[Any], topic_id: str, ends: dict[int, int]) -> int | None:
    """How many records the store lacks; None where nothing of this topic was ever recorded."""
    rows = connection.execute(
        "SELECT partition, next_offset FROM kafka_offsets WHERE topic_id = %s", (topic_id,)
    ).fetchall()
    if not rows:
        return None
    there = {int(row[0]): int(row[1]) for row in rows}
    return sum(max(end - there.get(partition, 0), 0) for partition, end in ends.items())
