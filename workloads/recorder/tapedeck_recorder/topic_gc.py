"""Deleting the topics of replays that are no more. Retention would get at them too, a week later."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import TypeAdapter, ValidationError

from tapedeck_common.kafka import admin
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.topics import POINTS_PREFIX, REPLAY_PREFIX

ANSWER_SECONDS = 10.0
AT_ONCE = 200  # topics a pass
LIMIT_BYTES = 16 * 1024 * 1024
_OF_REPLAYS = (REPLAY_PREFIX, POINTS_PREFIX)
_UIDS = TypeAdapter(set[str])


def living(url: str) -> set[str]:
    """The uids of all Replays, from the operator (http) or the embedded deck (file). Raises OSError, ValueError."""
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
        return _UIDS.validate_json(answer.read(LIMIT_BYTES))


def sweep(client: AdminClient, ask: Callable[[], set[str]]) -> list[str]:
    """Delete the topics of replays that ``ask`` does not name; returns them. Raises KafkaException and what it raises.

    Topics are listed first: a replay has no topic before those who are asked know it.
    """
    there = sorted(name for name in client.list_topics(timeout=ANSWER_SECONDS).topics if name.startswith(_OF_REPLAYS))
    known = ask() if there else set()
    dead = [name for name in there if name.rpartition(".")[2] not in known][:AT_ONCE]
    if dead:
        for future in client.delete_topics(dead, request_timeout=ANSWER_SECONDS).values():
            future.result(ANSWER_SECONDS * 2)
    return dead


def keep_sweeping(connections: Connections, url: str, stop: threading.Event, period: float) -> None:
    """Sweep every ``period`` seconds until ``stop`` is set. What can't be done now is tried at the next pass."""
    client = admin(connections, "tapedeck-sweep")
    while not stop.wait(period):
        try:
            if dead := sweep(client, lambda: living(url)):
                log.info("swept", topics=len(dead))
        except (KafkaException, OSError, ValidationError) as error:
            log.warning("not swept", reason=str(error), again=period)
