"""What the replay's benchmarks stand on: a broker and a database of their own, with seeded bars, and the real pod.

TAPEDECK_BENCH_SCALE (default 1) makes every size so many times as large: 0.01 tries a benchmark out.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pods.replay import ReplayProcess, insert_minutes
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import migrate
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import Postgres

SCALE = float(os.environ.get("TAPEDECK_BENCH_SCALE", "1"))
SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR"]
SETTLE_SECONDS = 2.0


def scaled(size: int) -> int:
    """A whole multiple of the number of symbols."""
    return max(int(size * SCALE) // len(SYMBOLS), 100) * len(SYMBOLS)


@dataclass(frozen=True)
class Bed:
    """Services and a folder, for the time of a benchmark."""

    folder: Path
    connections: Connections

    def fill(self, exchange: str, bars: int, symbols: list[str]) -> None:
        """Put minute bars into the store, the same each time."""
        insert_minutes(self.connections.store_dsn.get_secret_value(), exchange, symbols, bars // len(symbols))

    def replay(self, exchange: str) -> ReplayProcess:
        """A Replay of all that an exchange has, not started yet; its pod loads everything itself, as on a cluster."""
        time.sleep(SETTLE_SECONDS)  # what the run before left to the broker
        source = {"store": {"exchange": exchange, "symbols": ["*"]}}
        return ReplayProcess(self.folder / "pods", self.connections, {"source": source}, launch=processes.start_module)

    def unpaced(self, exchange: str, bars: int) -> ReplayProcess:
        """A Replay that played them all as fast as it goes."""
        replay = self.replay(exchange)
        replay.begin(unpaced=True, lead_ms=500)
        if replay.wait(300) != 0 or replay.last_report()["published"] != bars:
            raise RuntimeError(f"the replay failed: {replay.last_report()}")
        return replay


def rate(replay: ReplayProcess) -> float:
    """Bars a second, from the instant that the anchor set until the end was committed."""
    report = replay.last_report()
    return float(report["published"] / ((replay.ended_at_ms() - report["anchor"]["w0"]) / 1000))


@contextmanager
def bed() -> Iterator[Bed]:
    """Broker and database, empty and migrated."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        broker, postgres = KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres")
        try:
            broker.launch()
            postgres.start()
            broker.wait_ready()
            migrate(postgres.dsn())
            yield Bed(folder, Connections(kafka_bootstrap=broker.bootstrap, store_dsn=SecretStr(postgres.dsn())))
        finally:
            broker.stop()
            postgres.stop()
