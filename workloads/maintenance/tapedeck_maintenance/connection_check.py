"""``python -m tapedeck_maintenance.connection_check URL…``: the check of ``helm test``, run as the gateway's user.

Within a minute each URL must answer with status 200, and broker and database must accept the user.
"""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Callable, Mapping

import psycopg
from confluent_kafka import KafkaException

from tapedeck_common.kafka import admin
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.store.database import connect
from tapedeck_common.topic_ids import topic_ids
from tapedeck_common.topics import MARKET_BARS
from tapedeck_crds.errors import NotFound, TapedeckError

WAIT_SECONDS = 60.0
TIMEOUT_SECONDS = 10.0


def _url(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
        return str(answer.status)


def _broker(connections: Connections) -> str:
    client = admin(connections, "tapedeck-check")
    topics = client.list_topics(timeout=TIMEOUT_SECONDS).topics
    if MARKET_BARS not in topics:
        raise NotFound(f"topic {MARKET_BARS}: missing, expected a topic that this user may read")
    topic_ids(client, [MARKET_BARS])
    return f"{len(topics)} topics"


def _database(connections: Connections) -> str:
    with connect(connections, name="tapedeck-check") as connection:
        connection.execute("SELECT FROM bars LIMIT 1")
        return "bars can be read"


def check(probes: Mapping[str, Callable[[], str]], wait: float) -> bool:
    """Repeat each probe until it succeeds, at most ``wait`` seconds for all; prints the outcomes."""
    deadline = time.monotonic() + wait
    failed = [name for name, probe in probes.items() if not _succeeds(name, probe, deadline)]
    return not failed


def _succeeds(name: str, probe: Callable[[], str], deadline: float) -> bool:
    while True:
        try:
            print(f"{name}: {probe()}", flush=True)
            return True
        except (OSError, TapedeckError, KafkaException, psycopg.Error) as error:
            if time.monotonic() > deadline:
                print(f"{name}: failed: {error}", flush=True)
                return False
        time.sleep(1)


def main(urls: list[str], wait: float = WAIT_SECONDS) -> int:
    """Returns 0 where every probe succeeds, else 1; prints a line for each."""
    connections = Connections.read(PodSettings().connections)
    probes: dict[str, Callable[[], str]] = {url: lambda url=url: _url(url) for url in urls}  # type: ignore[misc]
    probes |= {"broker": lambda: _broker(connections), "database": lambda: _database(connections)}
    return 0 if check(probes, wait) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
