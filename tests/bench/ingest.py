"""The recorder's throughput from log to commit, compared with binary COPY of the same rows into the same table.

``ingest``: the table is empty. ``ingest-again``: every row is stored, as when files are imported again.
``ingest-upsert``: every row is stored and is published again with the next revision.
Timed from the first visible commit to the last, so start-up and joining the group do not count.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.figures import Figure, against, alternate
from pods.signatures import RESULTS_KEY
from tapedeck_common import topics
from tapedeck_common.kafka import admin, consumer, producer
from tapedeck_common.market import Bar, series_key
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.wire import encode, market_headers
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.pods import Start
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import ROLES, SUPERUSER, Postgres
from tapedeck_recorder.kafka.consumer import BATCH_MESSAGES
from tapedeck_recorder.rows.bar_rows import copy_rows
from tapedeck_recorder.rows.batch_builder import build_batch
from tapedeck_recorder.rows.tables import BARS, COPY_HEADER, COPY_TRAILER

SYMBOLS, MINUTES = 24, 42_000
RUNS = 5
TIMEOUT = 120.0
POLL_SECONDS = 0.05  # about 1 % of a run: more often, the observer takes a share of the two cores
ROWS = SYMBOLS * MINUTES


def run() -> list[Figure]:
    """The figures, in rows/s."""
    with tempfile.TemporaryDirectory(prefix="tapedeck-bench-") as name, services(Path(name)) as bench:
        plain = alternate(lambda: bench.record(rev=0, empty=True), bench.copy, RUNS)
        again = alternate(lambda: bench.record(rev=0), bench.copy, RUNS)
        bench.revise()
        upsert = alternate(lambda: bench.record(rev=1), bench.copy, RUNS)
    compared = {"ingest": plain, "ingest-again": again, "ingest-upsert": upsert}
    return [against(name, *speeds, "rows/s") for name, speeds in compared.items()]


def bars(rev: int = 0) -> Iterator[Bar]:
    """Seeded random walks of several markets, minute by minute."""
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
    """One broker and one database. Runs start at ``_start_offsets``, so each revision is published once."""

    def __init__(self, folder: Path, broker: KafkaBroker, postgres: Postgres) -> None:
        self._folder = folder
        (folder / "results-key").write_bytes(RESULTS_KEY)
        self._broker = broker
        self._dsn, self._superuser_dsn = postgres.dsn(), postgres.dsn(SUPERUSER)
        self._start_offsets: list[tuple[object, ...]] = []
        (folder / "kafka_bootstrap").write_text(broker.bootstrap)
        (folder / "store_dsn").write_text(self._dsn)
        self._publish(rev=0)
        self._batches = list(self._encode())

    def revise(self) -> None:
        """Publish the next revision of every bar, and start later runs there."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            self._start_offsets = connection.execute("SELECT * FROM kafka_offsets").fetchall()
        self._publish(rev=1)

    def copy(self) -> float:
        """Rows/s of COPY into the empty table, one transaction per batch."""
        statement = f"COPY bars ({', '.join(BARS.columns)}) FROM STDIN (FORMAT BINARY)"
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("TRUNCATE bars")
            self._checkpoint()
            started = time.perf_counter()
            for payload in self._batches:
                with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
                    copy.write(payload)
            return ROWS / (time.perf_counter() - started)

    def _checkpoint(self) -> None:
        """So that COPY writes no full-page images to the WAL during the run."""
        with psycopg.connect(self._superuser_dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def record(self, *, rev: int, empty: bool = False, launch: Start = processes.start_module) -> float:
        """Rows/s of the recorder into the table as it is, or into an empty one."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            if empty:
                connection.execute("TRUNCATE bars")
            connection.execute("TRUNCATE kafka_offsets")
            connection.cursor().executemany(
                "INSERT INTO kafka_offsets VALUES (%s, %s, %s, %s, %s, %s)", self._start_offsets
            )
            pod = launch(
                "tapedeck_recorder",
                [],
                log=self._folder / "recorder.log",
                env={
                    "TAPEDECK_CONNECTIONS": str(self._folder),
                    "TAPEDECK_RESULTS_KEY_FILE": str(self._folder / "results-key"),
                    "TAPEDECK_PORT_FILE": str(self._folder / "port"),
                    "PATH": "/usr/bin:/bin",
                },
                cwd=Path.cwd(),
            )
            try:
                speed = recording_rate(connection, ROWS)
            finally:
                processes.stop(pod, grace=15)
            row = connection.execute("SELECT count(*) FROM bars WHERE rev = %s", (rev,)).fetchone()
            if row != (ROWS,):
                raise RuntimeError(f"bars of revision {rev}: got {row}, expected {ROWS}")
            return speed

    def _encode(self) -> Iterator[bytes]:
        """The topic's bars in the batches and the encoding of the recorder."""
        client = consumer(Connections(kafka_bootstrap=self._broker.bootstrap), "bench", "bench")
        client.subscribe([topics.MARKET_BARS])
        done = 0
        try:
            while done < ROWS:
                messages = client.consume(BATCH_MESSAGES, 2.0)
                if messages:
                    bars = build_batch(messages, ResultVerifier(RESULTS_KEY)).bars
                    if bars is not None:
                        done += len(bars)
                        yield b"".join((COPY_HEADER, copy_rows(bars), COPY_TRAILER))
        finally:
            client.close()

    def _publish(self, *, rev: int) -> None:
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


def recording_rate(connection: psycopg.Connection[tuple[object, ...]], rows: int) -> float:
    """Rows/s from the next commit of bars until so many are recorded, measured by polling the stored offsets."""
    start = _recorded(connection)
    deadline = time.monotonic() + TIMEOUT
    first: tuple[float, int] | None = None
    while time.monotonic() < deadline:
        done = _recorded(connection) - start
        now = time.perf_counter()
        if first is None and done:
            first = (now, done)
        if first is not None and done >= rows:
            return (done - first[1]) / (now - first[0])
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"recorded {done} of {rows} rows in {TIMEOUT} s")


def _recorded(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(next_offset), 0)::int8 FROM kafka_offsets WHERE topic = %s", (topics.MARKET_BARS,)
    ).fetchone()
    return int(str(row[0])) if row is not None else 0


@contextmanager
def services(folder: Path) -> Iterator[Bench]:
    folder.chmod(0o755)
    broker, postgres = KafkaBroker(folder / "kafka", free_port()), Postgres(folder / "postgres", (*ROLES, SUPERUSER))
    try:
        broker.launch()
        postgres.start()
        broker.wait_ready()
        upgrade_schema(postgres.dsn())
        connections = Connections(kafka_bootstrap=broker.bootstrap)
        ensure_topics(admin(connections, "bench"), topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS)
        yield Bench(folder, broker, postgres)
    finally:
        broker.stop()
        postgres.stop()
