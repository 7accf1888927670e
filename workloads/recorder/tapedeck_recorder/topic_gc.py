"""Deleting the topics of replays that no longer exist. Retention would delete their records too, a week later."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import TypeAdapter, ValidationError

from tapedeck_common.kafka import admin
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.topics import POINTS_PREFIX, REPLAY_PREFIX

TIMEOUT_SECONDS = 10.0
TOPICS_PER_PASS = 200
RESPONSE_MAX_BYTES = 16 * 1024 * 1024
_PREFIXES = (REPLAY_PREFIX, POINTS_PREFIX)
_UIDS = TypeAdapter(set[str])


def fetch_replay_uids(url: str) -> set[str]:
    """The uids of all Replays, from the operator (http) or the embedded deck (file).

    Raises OSError, HTTPException and ValueError.
    """
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
        return _UIDS.validate_json(response.read(RESPONSE_MAX_BYTES))


def delete_orphaned_topics(client: AdminClient, replay_uids: Callable[[], set[str]]) -> list[str]:
    """Delete the topics of replays whose uid ``replay_uids`` does not return; returns the deleted names.

    Topics are listed first: a Replay exists before its topic, so a topic that was just created is never an orphan.
    Raises KafkaException and whatever ``replay_uids`` raises.
    """
    listed = client.list_topics(timeout=TIMEOUT_SECONDS).topics
    of_replays = sorted(name for name in listed if name.startswith(_PREFIXES))
    existing = replay_uids() if of_replays else set()
    orphaned = [name for name in of_replays if name.rpartition(".")[2] not in existing][:TOPICS_PER_PASS]
    if orphaned:
        for future in client.delete_topics(orphaned, request_timeout=TIMEOUT_SECONDS).values():
            future.result(TIMEOUT_SECONDS * 2)
    return orphaned


def run_topic_gc(connections: Connections, url: str, stop: threading.Event, period: float) -> None:
    """Delete orphaned topics every ``period`` seconds until ``stop`` is set. A failed pass is retried at the next."""
    client = admin(connections, "tapedeck-topic-gc")
    while not stop.wait(period):
        try:
            if deleted := delete_orphaned_topics(client, lambda: fetch_replay_uids(url)):
                log.info("deleted orphaned topics", topics=len(deleted))
        except (KafkaException, OSError, HTTPException, ValidationError) as error:
            log.warning("deleting orphaned topics failed", reason=str(error), retry_seconds=period)
