"""Waiting until the recorder has written what is on the log: a run right after a Feed must see all of its data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import stamina
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from tapedeck_common.kafka import BrokerAdmin, admin, await_result, is_transient, kafka_error
from tapedeck_common.log_positions import list_offsets
from tapedeck_common.settings import Connections
from tapedeck_common.topic_ids import topic_id
from tapedeck_common.topics import MARKET_BARS, RECORDER_GROUP

STALL_SECONDS = 10.0  # the wait ends where the recorder makes no progress for so long
POLL_SECONDS = 0.05
REQUEST_TIMEOUT = 10.0


def wait_until_recorded(
    connections: Connections,
    connection: psycopg.Connection[Any],
    pulse: Callable[[], None] = lambda: None,
    topic: str = MARKET_BARS,
) -> int:
    """Wait until the store has all records that are on a topic now; returns how many it still lacks.

    The result is above 0 where the recorder makes no progress. Returns 0 at once where no recorder has ever written to
    this database and none runs now. ``pulse`` is called while waiting, and an exception of it ends the wait. Raises
    KafkaException, NoTopicIds and psycopg.Error.
    """
    ends, identity, recorder_runs = _topic_state(admin(connections, "tapedeck-recorded"), topic)
    missing_now = _missing_records(connection, topic, identity, ends)
    if missing_now is None and not recorder_runs:
        return 0
    best, since = missing_now, time.monotonic()
    while (
        missing := sum(ends.values()) if missing_now is None else missing_now
    ) and time.monotonic() - since < STALL_SECONDS:
        pulse()
        time.sleep(POLL_SECONDS)
        missing_now = _missing_records(connection, topic, identity, ends)
        if missing_now != best:
            best, since = missing_now, time.monotonic()
    return missing


@stamina.retry(on=is_transient, attempts=8, timeout=30.0, wait_max=2.0)
def _topic_state(client: BrokerAdmin, name: str) -> tuple[dict[int, int], str, bool]:
    """The end offset of each partition, the topic's id, and whether a recorder is running."""
    descriptions = client.describe_topics(TopicCollection([name]), request_timeout=REQUEST_TIMEOUT)
    try:
        topic = await_result(client, descriptions[name], REQUEST_TIMEOUT)
    except KafkaException as error:
        if kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return {}, "", False  # a broker without the permanent topics
        raise
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    found = list_offsets(client, [(name, p.id) for p in topic.partitions], latest, REQUEST_TIMEOUT)
    ends = {number: each.offset for (_, number), each in found.items()}
    return ends, topic_id(topic), _recorder_runs(client)


def _recorder_runs(client: BrokerAdmin) -> bool:
    group = client.describe_consumer_groups([RECORDER_GROUP], request_timeout=REQUEST_TIMEOUT)[RECORDER_GROUP]
    try:
        return bool(await_result(client, group, REQUEST_TIMEOUT).members)
    except KafkaException as error:
        if kafka_error(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
            return False
        raise


def _missing_records(
    connection: psycopg.Connection[Any], topic: str, identity: str, ends: dict[int, int]
) -> int | None:
    """How many records the store lacks; None where no record of this topic was ever written."""
    rows = connection.execute(
        "SELECT partition, next_offset FROM kafka_offsets WHERE topic = %s AND topic_id = %s", (topic, identity)
    ).fetchall()
    if not rows:
        return None
    recorded = {int(row[0]): int(row[1]) for row in rows}
    return sum(max(end - recorded.get(partition, 0), 0) for partition, end in ends.items())
