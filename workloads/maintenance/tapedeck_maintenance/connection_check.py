"""``python -m tapedeck_maintenance.connection_check URL…``: the check that ``helm test`` runs, as the gateway's user.

Each address must answer with 200, and broker and database must let this workload in, within a minute.
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
from tapedeck_common.topics import MARKET_BARS

WAIT_SECONDS = 60.0
ANSWER_SECONDS = 10.0


def _url(url: str) -> str:
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
        return str(answer.status)


def _broker(connections: Connections) -> str:
    topics = admin(connections, "tapedeck-check").list_topics(timeout=ANSWER_SECONDS).topics
    if MARKET_BARS not in topics:
        raise LookupError(f"got no topic {MARKET_BARS}, expected one that this user may read")
    return f"{len(topics)} topics"


def _database(connections: Connections) -> str:
    with connect(connections, name="tapedeck-check") as connection:
        connection.execute("SELECT FROM bars LIMIT 1")
        return "bars can be read"


def check(questions: Mapping[str, Callable[[], str]], wait: float) -> bool:
    """Ask each until it is answered, all within ``wait`` seconds; prints what came of it."""
    deadline = time.monotonic() + wait
    failed = [what for what, ask in questions.items() if not _answered(what, ask, deadline)]
    return not failed


def _answered(what: str, ask: Callable[[], str], deadline: float) -> bool:
    while True:
        try:
            print(f"{what}: {ask()}", flush=True)
            return True
        except (OSError, LookupError, KafkaException, psycopg.Error) as error:
            if time.monotonic() > deadline:
                print(f"{what}: failed: {error}", flush=True)
                return False
        time.sleep(1)


def main(urls: list[str], wait: float = WAIT_SECONDS) -> int:
    """Exit 0 when all is well, 1 with a line for what is not."""
    connections = Connections.read(PodSettings().connections)
    questions: dict[str, Callable[[], str]] = {url: lambda url=url: _url(url) for url in urls}  # type: ignore[misc]
    questions |= {"broker": lambda: _broker(connections), "database": lambda: _database(connections)}
    return 0 if check(questions, wait) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
