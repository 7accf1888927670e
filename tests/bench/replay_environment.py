"""The environment of the replay's benchmarks: a broker and a database of their own, seeded bars, and the real pod.

TAPEDECK_BENCH_SCALE (default 1) scales every size: 0.01 is for a trial run.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pods.replay import ReplayProcess, insert_minutes
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.pods import Start
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import Postgres

SCALE = float(os.environ.get("TAPEDECK_BENCH_SCALE", "1"))
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR"]
SETTLE_SECONDS = 2.0


def scaled(size: int) -> int:
    """The size times TAPEDECK_BENCH_SCALE, as a multiple of the number of symbols."""
    return max(int(size * SCALE) // len(SYMBOLS), 100) * len(SYMBOLS)


@dataclass(frozen=True)
class BenchEnvironment:
    """The services and the folder of a benchmark."""

    folder: Path
    connections: Connections

    def fill(self, exchange: str, bars: int, symbols: list[str]) -> None:
        """Insert minute bars into the store, the same in every run."""
        insert_minutes(self.connections.store_dsn.get_secret_value(), exchange, symbols, bars // len(symbols))

    def replay(self, exchange: str, launch: Start = processes.start_module, **narrowed: Any) -> ReplayProcess:
        """A Replay of all bars of an exchange, or of those that ``narrowed`` selects (fields of ``source.store``).

        It is not started yet; its pod imports everything itself, as on a cluster.
        """
        time.sleep(SETTLE_SECONDS)  # the broker finishes work of the previous run
        source = {"store": {"exchange": exchange, "symbols": ["*"]} | narrowed}
        return ReplayProcess(self.folder / "pods", self.connections, {"source": source}, launch=launch)

    def unpaced(self, exchange: str, bars: int, launch: Start = processes.start_module) -> ReplayProcess:
        """Play all bars of an exchange unpaced; returns the ended Replay."""
        replay = self.replay(exchange, launch)
        replay.begin(unpaced=True, lead_ms=500)
        if replay.wait(300) != 0 or replay.last_report()["published"] != bars:
            raise RuntimeError(f"the replay failed: {replay.last_report()}")
        return replay


def rate(replay: ReplayProcess) -> float:
    """Bars a second, from the anchor's w0 to the commit of the end."""
    report = replay.last_report()
    return float(report["published"] / ((replay.ended_at_ms() - report["anchor"]["w0"]) / 1000))


@contextmanager
def bench_environment() -> Iterator[BenchEnvironment]:
    """A new broker and a new, migrated database."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        broker, postgres = KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres")
        try:
            broker.launch()
            postgres.start()
            broker.wait_ready()
            upgrade_schema(postgres.dsn())
            connections = Connections(kafka_bootstrap=broker.bootstrap, store_dsn=SecretStr(postgres.dsn()))
            yield BenchEnvironment(folder, connections)
        finally:
            broker.stop()
            postgres.stop()
