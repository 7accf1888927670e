"""Large stores: 1, 10 and 100 million one-minute bars, in 30, 300 and 3,000 series.

The reference of a figure is its limit where it has one, and else the figure of `1m`, so that the ratio is the growth.
Series after series is filled, as by a backfill.

`store-history-p99`: 10,000 bars at a random place of a random series by /history, ms; the limit is 30.
`store-coarser-p99`: as many minutes as bars of an hour, which the database makes of them, ms. `store-symbols`: a page
of 1,000 symbols by /api/v1/symbols, ms. `store-search-p99`: a search by text, ms; the limit is 20.
`store-replay-start`: from the start of the pod of a Replay of ten series and a week until a consumer of committed
records has its first bar, s, the median of three; the limit is 2. `store-merge`: bars that are stored come again with
the next revision, rows/s of the recorder from its first commit to its last. `store-retention`: a daily run, which
deletes a day, bars/s. `store-bar`: a bar with its indexes, B.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench.figures import Figure
from bench.gateway_reader import WITHOUT_LIMITS, GatewayReader, milliseconds, p99_of
from bench.ingest import recording_rate
from bench.replay_environment import SCALE, BenchEnvironment, bench_environment
from bench.replay_start import start_seconds
from pods.gateway import running_gateway
from pods.recorder import BACKFILL, Record, RecorderProcess, publish
from tapedeck_common import topics
from tapedeck_common.kafka import admin
from tapedeck_common.market import Bar, series_key
from tapedeck_common.store.retention import delete_expired
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.wire import encode
from tapedeck_crds.base import format_ms
from tapedeck_deck.embedded import processes

MILLIONS = (1, 10, 100)
SERIES_A_MILLION = max(int(30 * SCALE), 3)
MINUTES = 33_333  # of a series: 23 days
PAGE, HOUR = 10_000, 60
REQUESTS, WARM, STARTS = 200, 10, 3
PLAYED, MERGED = 10, 24  # series
T0, MINUTE, DAY, WEEK = 1_522_800_000_000, 60_000, 86_400_000, 7 * 86_400_000
WHOLE = T0 + len(MILLIONS) * DAY  # retention deletes only bars before it
END = T0 + MINUTES * MINUTE
LIMITS = {"history-p99": 30.0, "search-p99": 20.0, "replay-start": 2.0}
UNITS = {"replay-start": "s", "merge": "rows/s", "retention": "bars/s", "bar": "B"}


def run() -> Iterator[Figure]:
    """All figures, with services of their own. Needs 40 GB of disk."""
    first: dict[str, float] = {}
    with bench_environment() as services:
        store = LargeStore(services)
        for stage, millions in enumerate(MILLIONS, 1):
            store.fill(millions * SERIES_A_MILLION)
            for name, value in store.measure(stage):
                reference = LIMITS.get(name, first.get(name))
                first.setdefault(name, value)
                ratio = None if reference is None else value / reference
                yield Figure(f"store-{name}-{millions}m", value, UNITS.get(name, "ms"), reference, ratio)


class LargeStore:
    """A store that grows, and what is measured of it at each stage."""

    def __init__(self, services: BenchEnvironment) -> None:
        self._services = services
        self._dsn = services.connections.store_dsn.get_secret_value()
        self._series = 0
        self._random = random.Random(8)
        broker = admin(services.connections, "bench")
        ensure_topics(broker, topics.PERMANENT_TOPICS, topics.PERMANENT_PARTITIONS)

    def fill(self, series: int) -> None:
        """Insert bars until there are so many series."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("SELECT setseed(0.5)")
            while self._series < series:
                until = min(self._series + SERIES_A_MILLION, series)
                _insert_series(connection, self._series, until)
                self._series = until
            connection.execute("VACUUM ANALYZE bars")
            connection.execute("VACUUM ANALYZE bar_series")

    def measure(self, stage: int) -> Iterator[tuple[str, float]]:
        """Names and values; ``stage`` counts from 1."""
        yield "bar", self._bytes_of_a_bar()
        folder = self._services.folder / f"gateway-{stage}"
        folder.mkdir()
        with running_gateway(folder, self._services.connections, WITHOUT_LIMITS) as gateway:
            reader = GatewayReader(gateway)
            yield "history-p99", p99_of([self._history(reader, "1", PAGE) for _ in range(WARM + REQUESTS)][WARM:])
            coarser = [self._history(reader, "60", PAGE // HOUR) for _ in range(WARM + REQUESTS)][WARM:]
            yield "coarser-p99", p99_of(coarser)
            pages = [milliseconds(reader.get, "/api/v1/symbols", limit=1_000) for _ in range(WARM + STARTS)]
            yield "symbols", statistics.median(pages[WARM:])
            texts = [_symbol(self._any_series()).removesuffix("/USD") for _ in range(WARM + REQUESTS)]
            yield "search-p99", p99_of([milliseconds(reader.get, "/search", query=t, limit=30) for t in texts][WARM:])
        yield "replay-start", statistics.median(self._replay_start() for _ in range(STARTS))
        yield "merge", self._merge(stage)
        yield "retention", self._retain(stage)

    def _any_series(self) -> int:
        return self._random.randrange(self._series)

    def _bytes_of_a_bar(self) -> float:
        with psycopg.connect(self._dsn) as connection:
            row = connection.execute("SELECT pg_total_relation_size('bars')").fetchone()
        assert row is not None
        return float(row[0]) / (self._series * MINUTES)

    def _history(self, reader: GatewayReader, resolution: str, bars: int) -> float:
        """Milliseconds of PAGE minutes at a random place, as ``bars`` of this resolution."""
        hour = HOUR * MINUTE
        begin = WHOLE + self._random.randrange((END - WHOLE - PAGE * MINUTE) // hour) * hour
        span = {"from": begin // 1_000, "to": (begin + bars * int(resolution) * MINUTE) // 1_000}
        ticker = f"bench:{_symbol(self._any_series())}"
        bodies: list[bytes] = []
        took = milliseconds(lambda: bodies.append(reader.get("/history", symbol=ticker, resolution=resolution, **span)))
        found = len(json.loads(bodies[0])["t"])
        if found != bars:
            raise RuntimeError(f"/history gave {found} bars of {ticker}, expected {bars}")
        return took

    def _replay_start(self) -> float:
        begin = WHOLE + self._random.randrange((END - WHOLE - WEEK) // DAY + 1) * DAY
        symbols = [_symbol(number) for number in self._random.sample(range(self._series), min(PLAYED, self._series))]
        narrowed: dict[str, Any] = {"symbols": symbols, "from": format_ms(begin), "to": format_ms(begin + WEEK)}
        return start_seconds(self._services, self._services.replay("bench", **narrowed), v0=begin)

    def _merge(self, rev: int) -> float:
        count = min(MERGED, self._series)
        records = [
            _bar_record(number, WHOLE + minute * MINUTE, rev)
            for number in self._random.sample(range(self._series), count)
            for minute in range(PAGE)
        ]
        bootstrap = self._services.connections.kafka_bootstrap
        publish(bootstrap, records)
        recorder = RecorderProcess(self._services.folder, bootstrap, self._dsn)
        recorder.launch = processes.start_module
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            recorder.start(wait=False)
            try:
                speed = recording_rate(connection, len(records))
            finally:
                recorder.stop()
            row = connection.execute("SELECT count(*) FROM bars WHERE exchange = 'bench' AND rev = %s", (rev,))
            if row.fetchone() != (len(records),):
                raise RuntimeError(f"not all of {len(records)} bars have the revision {rev}")
        return speed

    def _retain(self, stage: int) -> float:
        now = datetime.fromtimestamp((T0 + stage * DAY) / 1_000, UTC) + timedelta(days=1)
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            started = time.perf_counter()
            deleted = delete_expired(connection, "plain", {"bars": 1}, now)["bars"]
            return deleted / (time.perf_counter() - started)


def _symbol(number: int) -> str:
    return f"S{number:04}/USD"


def _insert_series(connection: psycopg.Connection[tuple[object, ...]], begin: int, end: int) -> None:
    names = [_symbol(number) for number in range(begin, end)]
    connection.execute(
        "INSERT INTO bars SELECT 'bench', s, '1m', to_timestamp(%s / 1000.0) + m * interval '1 minute', p, p + 1,"
        " p - 1, p + 0.5, m %% 17, 0, 'backfill' FROM (SELECT s, m, 6000 + floor(random() * 90000) / 100 AS p"
        " FROM unnest(%s::text[]) s, generate_series(0, %s) m) g",
        (T0, names, MINUTES - 1),
    )
    connection.execute(
        "INSERT INTO bar_series SELECT 'bench', s, '1m', to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0)"
        " FROM unnest(%s::text[]) s",
        (T0, END - MINUTE, names),
    )


def _bar_record(number: int, ts: int, rev: int) -> Record:
    symbol = _symbol(number)
    bar = Bar("bench", symbol, "1m", ts, 6_000.0, 6_001.0, 5_999.0, 6_000.5, 1.0, rev=rev)
    return topics.MARKET_BARS, encode(bar), series_key("bench", symbol), BACKFILL
