"""A gateway with services of its own, which may be killed and started again.

TAPEDECK_OUTAGE_SECONDS is how long each is down.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pods.expected_bars import T0
from pods.gateway import FILE_SPEC, MINUTE, Gateway, ReplayTopic, insert_equity, running_gateway, walk
from pods.services import Services, start_services
from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar, series_key
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.topics import MARKET_BARS
from tapedeck_common.wire import encode, market_headers
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.postgres import Postgres

OUTAGE_SECONDS = float(os.environ.get("TAPEDECK_OUTAGE_SECONDS", "6"))
NOTICED_SECONDS = 30.0  # until an outage, and its end, is told
STORED = 60
SYMBOL, RUN = "coinbase:BTC/USD", "run-1"
BARS = walk(18, 200, T0)


class OutageStage:
    """A gateway with a market, a run and a Replay, of which more can be published."""

    def __init__(self, services: Services, gateway: Gateway) -> None:
        self.services = services
        self.gateway = gateway
        self.connections = services.connections()
        self.replay = ReplayTopic(self.connections, name="tape", spec=FILE_SPEC, range_from=T0)
        self.played = self.published = 0
        self.points = 0

    @property
    def store(self) -> str:
        return self.connections.store_dsn.get_secret_value()

    def play(self, count: int = 10) -> int:
        """Play on; returns the open of the last bar."""
        self.replay.play(BARS[self.played : self.played + count])
        self.played += count
        return BARS[self.played - 1].ts

    def publish(self) -> Bar:
        """The next bar of the live market."""
        bar = BARS[STORED + self.published]
        self.published += 1
        kafka = producer(self.connections, "tests")
        key = series_key(bar.exchange, bar.symbol).encode()
        kafka.produce(MARKET_BARS, encode(bar), key=key, headers=market_headers("live"))
        assert kafka.flush(60) == 0
        return bar

    def gain(self) -> float:
        """Another point of the run's equity; returns its value."""
        self.points += 1
        insert_equity(self.store, RUN, [(self.points, T0 + self.points * MINUTE, 10_000.0 + self.points, 0.0)])
        return 10_000.0 + self.points

    def rest(self, path: str, **query: Any) -> tuple[int, Any]:
        return self.gateway.get(f"/api/v1{path}", **query)

    def stored(self) -> tuple[int, int]:
        """The status of REST's bars, and how many there are."""
        status, answer = self.rest("/bars", symbol=SYMBOL, interval="1m")
        return status, len(answer.get("bars", []))

    def history(self, symbol: str) -> Any:
        return self.gateway.get("/history", symbol=symbol, resolution="1", from_=0, to=T0 // 1000 + 86_400)[1]

    def missing(self, path: str) -> str | None:
        with urllib.request.urlopen(self.gateway.url + path, timeout=60) as answer:
            said: str | None = answer.headers["x-tapedeck-missing"]
            return said


@contextmanager
def outage_stage(folder: Path) -> Iterator[OutageStage]:
    """A gateway, a broker and a database, without bars."""
    # A short name: with a long one the socket of the database is in another folder after each start.
    home = Path(tempfile.mkdtemp(prefix="td-"))
    made = iter(home / str(number) for number in range(9))
    services = start_services(lambda: next(made))
    try:
        connections = services.connections()
        upgrade_schema(connections.store_dsn.get_secret_value())
        with running_gateway(folder, connections) as gateway:
            yield OutageStage(services, gateway)
    finally:
        services.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def killed(service: KafkaBroker | Postgres) -> Iterator[None]:
    """Without the service in this block, which lasts OUTAGE_SECONDS at least."""
    service.kill()
    began = time.monotonic()
    try:
        yield
        time.sleep(max(0.0, began + OUTAGE_SECONDS - time.monotonic()))
    finally:
        service.start()
