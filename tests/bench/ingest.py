"""The recorder, from log to commit, beside a bare binary COPY of the same rows into the same table.

``ingest``: no row is there yet. ``ingest-upsert``: every row is, and comes again with the next revision.
Timed from the first commit that can be seen to the last, so that neither start-up nor joining the group counts.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.figures import Figure, against, alternate
from tapedeck import topics
from tapedeck.kafka import admin, ensure_topics, producer
from tapedeck.market import Bar, series_key
from tapedeck.settings import Connections
from tapedeck.store.migrate import migrate
from tapedeck.wire import encode, market_headers
from tapedeck_operator.local import processes
from tapedeck_operator.local.broker import Broker, free_port
from tapedeck_operator.local.postgres import Postgres
from tapedeck_recorder.consume import BATCH_MESSAGES
from tapedeck_recorder.tables import BARS, COPY_HEADER, COPY_TRAILER, bar_row

SYMBOLS, MINUTES = 24, 42_000
RUNS = 5
TIMEOUT = 120.0
ROWS = SYMBOLS * MINUTES


def run() -> list[Figure]:
    """Both figures, rows/s."""
    with tempfile.TemporaryDirectory(prefix="tapedeck-bench-") as name, _services(Path(name)) as bench:
        plain = alternate(lambda: bench.record(), lambda: bench.copy(), RUNS)
        upsert = alternate(lambda: bench.record(again=True), lambda: bench.copy(), RUNS)
    return [against("ingest", *plain, "rows/s"), against("ingest-upsert", *upsert, "rows/s")]


def bars(rev: int = 0) -> Iterator[Bar]:
    """Seeded walks of several markets, minute by minute."""
    rng = random.Random(7)
    price = [100.0 + i for i in range(SYMBOLS)]
    for minute in range(MINUTES):
        for i in range(SYMBOLS):
            before = price[i]
            price[i] = after = round(before * (1 + rng.uniform(-1e-3, 1e-3)), 2)
            low, high = min(before, after), max(before, after)
            volume = round(rng.random() * 10, 4)
            yield Bar("bench", f"S{i}/USD", "1m", minute * 60_000, before, high, low, after, volume, rev=rev)


class Bench:
    """One broker and one database; the topic's bars are recorded again and again by fresh recorders."""

    def __init__(self, folder: Path, broker: Broker, postgres: Postgres) -> None:
        self._folder = folder
        self._broker = broker
        self._dsn = postgres.dsn()
        self._rev = 0
        self._batches = _batches([bar_row(bar, "backfill") for bar in bars()])
        (folder / "kafka_bootstrap").write_text(broker.bootstrap)
        (folder / "store_dsn").write_text(self._dsn)

    def copy(self) -> float:
        """Rows/s of COPY, a transaction a batch."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("TRUNCATE bars")
            began = time.perf_counter()
            for payload in self._batches:
                columns = ", ".join(BARS.columns)
                with connection.transaction(), connection.cursor() as cursor:
                    with cursor.copy(f"COPY bars ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
                        copy.write(payload)
            return ROWS / (time.perf_counter() - began)

    def record(self, *, again: bool = False) -> float:
        """Rows/s of the recorder; with ``again`` over rows that are all there already."""
        if again:
            self._rev += 1
        self._publish(self._rev)
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            if again:
                self._ensure_rows(connection)
            else:
                connection.execute("TRUNCATE bars")
            connection.execute("CHECKPOINT")
            pod = processes.start(
                [sys.executable, "-m", "tapedeck_recorder"],
                log=self._folder / "recorder.log",
                env={"TAPEDECK_CONNECTIONS": str(self._folder), "PATH": "/usr/bin:/bin"},
            )
            try:
                return self._watch(connection)
            finally:
                processes.stop(pod, grace=15)

    def _ensure_rows(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        row = connection.execute("SELECT count(*) FROM bars").fetchone()
        if row is None or row[0] != ROWS:
            raise RuntimeError(f"bars: got {row}, expected {ROWS}: the run before did not record all")

    def _watch(self, connection: psycopg.Connection[tuple[object, ...]]) -> float:
        """Follow the committed offsets from where they were to where the topic ends."""
        start = self._committed(connection)
        deadline = time.monotonic() + TIMEOUT
        first: tuple[float, int] | None = None
        while time.monotonic() < deadline:
            done = self._committed(connection) - start
            now = time.perf_counter()
            if first is None and done:
                first = (now, done)
            if first is not None and done >= ROWS:
                return (done - first[1]) / (now - first[0])
            time.sleep(0.01)
        raise TimeoutError(f"recorded {done} of {ROWS} rows in {TIMEOUT} s")

    def _committed(self, connection: psycopg.Connection[tuple[object, ...]]) -> int:
        row = connection.execute(
            "SELECT coalesce(sum(next_offset), 0)::int8 FROM kafka_offsets WHERE topic = %s", (topics.MARKET_BARS,)
        ).fetchone()
        return int(str(row[0])) if row is not None else 0

    def _publish(self, rev: int) -> None:
        connections = Connections(kafka_bootstrap=self._broker.bootstrap)
        client = producer(connections, "bench", {"queue.buffering.max.messages": 1_000_000})
        headers = market_headers("backfill")
        for bar in bars(rev):
            while True:
                try:
                    client.produce(
                        topics.MARKET_BARS, encode(bar), series_key(bar.exchange, bar.symbol), headers=headers
                    )
                    break
                except BufferError:
                    client.poll(0.1)
        if client.flush(60):
            raise TimeoutError("the bars did not reach the broker")


def _batches(rows: list[bytes]) -> list[bytes]:
    return [
        COPY_HEADER + b"".join(rows[i : i + BATCH_MESSAGES]) + COPY_TRAILER for i in range(0, ROWS, BATCH_MESSAGES)
    ]


@contextmanager
def _services(folder: Path) -> Iterator[Bench]:
    folder.chmod(0o755)
    broker, postgres = Broker(folder / "kafka", free_port()), Postgres(folder / "postgres")
    try:
        broker.launch()
        postgres.start()
        broker.wait_ready()
        migrate(postgres.dsn())
        connections = Connections(kafka_bootstrap=broker.bootstrap)
        ensure_topics(admin(connections, "bench"), topics.STANDING, topics.STANDING_PARTITIONS)
        yield Bench(folder, broker, postgres)
    finally:
        broker.stop()
        postgres.stop()
