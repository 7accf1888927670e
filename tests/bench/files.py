"""Files into the log, and the store into files, each against the library or the statement that does the bare work.

``import-csv`` and ``import-parquet``: an import, from the file to the last acknowledgement; the reference is pyarrow's
reader alone on the same file. ``import-vs-client``: that of the CSV again; the reference is Kafka's client alone with
prepared records of the same sizes, which bounds every import. ``import-memory``: the peak resident memory
of a Feed's pod, compared with that for a tenth of the rows (TAPEDECK_BENCH_ROWS sets their number; in full 50000000).
``export-parquet``: an export; the reference is a binary COPY of the same rows in the same order.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from bench.figures import Figure, against, alternate
from bench.peak_memory import peak_memory
from pods.feed import FeedPod
from tapedeck_common import topics
from tapedeck_common.files import FilesAccess, ValidBars, find_files, read_bars
from tapedeck_common.kafka import admin
from tapedeck_common.market import series_key
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_crds.files import Files
from tapedeck_deck.cli.exports.export import export
from tapedeck_deck.cli.exports.request import parse_request
from tapedeck_deck.cli.exports.selection import ExportSelection
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.postgres import ROLES, SUPERUSER, Postgres
from tapedeck_feed.from_files.importer import FileImporter
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.from_files.workload import LINGER_MS
from tapedeck_feed.output.publisher import MarketDataPublisher

ROWS = int(os.environ.get("TAPEDECK_BENCH_ROWS", "2000000"))
RUNS = int(os.environ.get("TAPEDECK_BENCH_RUNS", "3"))
TIMED_ROWS = min(ROWS, 2_000_000)
START, SECOND = 1_000_000_020_000, 1_000
PART_ROWS = 500_000
SYMBOL = "A/B"
FILL = """
INSERT INTO bars SELECT 'x', 'S' || n %% 4 || '/USD', '1m', to_timestamp(1000000020 + 60 * (n / 4)),
    100 + n %% 991 / 100.0, 112 + n %% 97 / 100.0, 98, 100 + n %% 89 / 100.0, n %% 9973 / 7.0, 0, 'backfill'
FROM generate_series(0, %s - 1) AS n
"""
ORDERED = "COPY (SELECT * FROM bars ORDER BY exchange, symbol, interval, ts) TO STDOUT (FORMAT BINARY)"
_numbers = count()


class Services(NamedTuple):
    """The broker's address, the store's DSN, also that of its superuser, and a folder for files."""

    bootstrap: str
    dsn: str
    superuser_dsn: str
    folder: Path


def run() -> Iterator[Figure]:
    """The figures, with a broker and a database of their own."""
    with _services() as services:
        _write_csv(services.folder / "bars.csv", TIMED_ROWS)
        _write_parquet(services.folder / "bars.parquet", TIMED_ROWS)
        by_csv = alternate(lambda: _import(services, "bars.csv"), lambda: _read(services, "bars.csv"), RUNS)
        yield against("import-csv", *by_csv, "rows/s")
        by_parquet = alternate(lambda: _import(services, "bars.parquet"), lambda: _read(services, "bars.parquet"), RUNS)
        yield against("import-parquet", *by_parquet, "rows/s")
        by_client = alternate(lambda: _import(services, "bars.csv"), lambda: _publish(services, "bars.csv"), RUNS)
        yield against("import-vs-client", *by_client, "rows/s")
        _write_csv(services.folder / "large.csv", ROWS)
        _write_csv(services.folder / "small.csv", ROWS // 10)
        yield against("import-memory", [_peak(services, "large.csv")], [_peak(services, "small.csv")], "MB")
        _fill(services)
        yield against("export-parquet", *alternate(lambda: _export(services), lambda: _copy(services), RUNS), "rows/s")


@contextmanager
def _services() -> Iterator[Services]:
    with tempfile.TemporaryDirectory(prefix="tapedeck-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        broker, postgres = (
            KafkaBroker(folder / "kafka", free_port()),
            Postgres(folder / "postgres", (*ROLES, SUPERUSER)),
        )
        try:
            broker.launch()
            postgres.start()
            broker.wait_ready()
            client = admin(Connections(kafka_bootstrap=broker.bootstrap), "bench")
            ensure_topics(client, topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS)
            upgrade_schema(postgres.dsn())
            yield Services(broker.bootstrap, postgres.dsn(), postgres.dsn(SUPERUSER), folder)
        finally:
            broker.stop()
            postgres.stop()


def _tables(rows: int) -> Iterator[pa.Table]:
    """A seeded random walk of two decimals, second by second."""
    rng = np.random.default_rng(7)
    price = 100.0
    for first in range(0, rows, PART_ROWS):
        number = np.arange(first, min(rows, first + PART_ROWS))
        closes = np.round(np.abs(price + np.cumsum(rng.normal(0, 0.05, len(number)))) + 1, 2)
        opens = np.concatenate(([round(price, 2)], closes[:-1]))
        price = float(closes[-1])
        yield pa.table(
            {
                "ts": START + number * SECOND,
                "open": opens,
                "high": np.maximum(opens, closes),
                "low": np.minimum(opens, closes),
                "close": closes,
                "volume": np.round(rng.random(len(number)) * 10, 4),
            }
        )


def _write_csv(path: Path, rows: int) -> None:
    writer = None
    for table in _tables(rows):
        writer = writer or pa.csv.CSVWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def _write_parquet(path: Path, rows: int) -> None:
    pq.write_table(pa.concat_tables(_tables(rows)), path)


def _files(name: str) -> Files:
    """A source of its own for each run, so that no record is a repeat."""
    sets = [{"symbol": SYMBOL, "path": name}]
    return Files.model_validate(
        {"exchange": f"bench{next(_numbers)}", "interval": "1s", "sets": sets, "time": {"unit": "ms"}}
    )


def _read(services: Services, name: str) -> float:
    """Rows/s of pyarrow alone."""
    began = time.perf_counter()
    path = services.folder / name
    table = pa.csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    return float(len(table) / (time.perf_counter() - began))


def _publisher(services: Services) -> MarketDataPublisher:
    connections = Connections(kafka_bootstrap=services.bootstrap)
    return MarketDataPublisher(connections, "bench", Event(), linger_ms=LINGER_MS, failures_only=True)


def _import(services: Services, name: str) -> float:
    """Rows/s of an import, as a Feed's pod does it."""
    stats, files = ImportStats(), _files(name)
    publisher = _publisher(services)
    began = time.perf_counter()
    FileImporter("bench", files, FilesAccess(services.folder), publisher, stats, Event()).run()
    seconds = time.perf_counter() - began
    if stats.bars != TIMED_ROWS:
        raise RuntimeError(f"imported {stats.bars} bars, expected {TIMED_ROWS}: {stats.refused_summary()}")
    return TIMED_ROWS / seconds


def _publish(services: Services, name: str) -> float:
    """Rows/s of the client alone, from prepared values of the same sizes to the last acknowledgement."""
    files = _files(name)
    sources = find_files(files, FilesAccess(services.folder))[SYMBOL]
    block = next(item for item in read_bars(files, sources, print) if isinstance(item, ValidBars))
    values, publisher = block.values(), _publisher(services)
    callback, key = publisher.callback(lambda: None), series_key(files.exchange, SYMBOL)
    began = time.perf_counter()
    for sent in range(0, TIMED_ROWS, len(values)):
        publisher.send_all(topics.MARKET_BARS, key, values[: TIMED_ROWS - sent], callback)
    publisher.flush()
    return TIMED_ROWS / (time.perf_counter() - began)


def _peak(services: Services, name: str) -> float:
    """The peak resident memory of a Feed's pod, MB."""
    spec = {"source": {"files": _files(name).model_dump(mode="json", by_alias=True, exclude_unset=True)}}
    pod = FeedPod(services.bootstrap, Path(tempfile.mkdtemp(dir=services.folder)), services.folder, spec)
    pod.start()
    assert pod.process is not None
    peak = peak_memory(pod.process, "the import", 1_000)
    if pod.wait() != 0:
        raise RuntimeError(f"the import failed: {pod.last_report()}")
    return peak


def _fill(services: Services) -> None:
    with psycopg.connect(services.dsn, autocommit=True) as connection:
        connection.execute(FILL, (TIMED_ROWS,))
        connection.execute("VACUUM (ANALYZE) bars")
    with psycopg.connect(services.superuser_dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def _export(services: Services) -> float:
    """Rows/s of `tapedeck export bars --format parquet`."""
    request = parse_request("bars", ExportSelection(), "parquet", str(services.folder / "exported.parquet"), ())
    began = time.perf_counter()
    rows = export(services.dsn, request)
    return rows / (time.perf_counter() - began)


def _copy(services: Services) -> float:
    """Rows/s of COPY, whose bytes are dropped."""
    began = time.perf_counter()
    with psycopg.connect(services.dsn) as connection, connection.cursor() as cursor, cursor.copy(ORDERED) as copy:
        for _ in copy:
            pass
    return TIMED_ROWS / (time.perf_counter() - began)
