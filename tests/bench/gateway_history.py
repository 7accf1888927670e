"""Reading from the gateway: ``gateway-history-p99``, ``gateway-history-ratio``, ``gateway-arrow`` and
``gateway-search-p99``.

``gateway-history-p99``: 10,000 bars at a random place by /history, ms; the reference is the limit of 30.
``gateway-history-p99-bare``: the same of the bare query, in turn with it: what this machine leaves.
``gateway-history-ratio``: the median of the same requests, ms; the reference is that of the bare query.
``gateway-arrow``: a million bars as an Arrow table by /api/v1/bars, rows/s; the reference is COPY of the same rows.
``gateway-search-p99``: a search by text among SYMBOLS stored symbols, ms; the reference is the limit of 20.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import psycopg
import pyarrow as pa

from bench.figures import Figure, against, alternate
from bench.gateway_reader import WITHOUT_LIMITS, GatewayReader, milliseconds, p99_of
from bench.replay_environment import SCALE, bench_environment
from pods.gateway import running_gateway

BARS, PAGE = max(int(1_000_000 * SCALE), 20_000), 10_000
SYMBOLS = max(int(3_000 * SCALE), 30)
REQUESTS, WARM, RUNS = 200, 10, 5
LIMIT_MS, SEARCH_LIMIT_MS = 30.0, 20.0
T0, MINUTE = 1_522_800_000_000, 60_000
ROWS = (
    "SELECT (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume FROM bars"
    " WHERE exchange = 'bench' AND symbol = 'BTC/USD' AND interval = '1m'"
)


def run() -> Iterator[Figure]:
    """All figures, with services of their own."""
    with bench_environment() as services:
        dsn = services.connections.store_dsn.get_secret_value()
        _fill(dsn)
        folder = services.folder / "gateway"
        folder.mkdir()
        with (
            running_gateway(folder, services.connections, WITHOUT_LIMITS) as gateway,
            psycopg.connect(dsn) as connection,
        ):
            reader = GatewayReader(gateway)
            yield from _history(reader, connection)
            arrow = alternate(lambda: _read_arrow(reader), lambda: _copied(connection), RUNS)
            yield against("gateway-arrow", *arrow, "rows/s")
            yield _search(reader)


def _fill(dsn: str) -> None:
    """A series of BARS bars, and SYMBOLS of one bar each."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            "INSERT INTO bars SELECT 'bench', 'BTC/USD', '1m', to_timestamp(%s / 1000.0) + n * interval '1 minute',"
            " p, p + 1, p - 1, p + 0.5, n %% 17, 0, 'backfill'"
            " FROM (SELECT n, round((6000 + random() * 900)::numeric, 2)::float8 AS p FROM generate_series(0, %s) n) g",
            (T0, BARS - 1),
        )
        connection.execute(
            "INSERT INTO bars SELECT 'many', 'S' || n || '/USD', '1m', to_timestamp(%s / 1000.0), 1, 2, 1, 2, 1, 0,"
            " 'backfill' FROM generate_series(1, %s) n",
            (T0, SYMBOLS),
        )
        connection.execute(
            "INSERT INTO bar_series SELECT exchange, symbol, interval, min(ts), max(ts) FROM bars GROUP BY 1, 2, 3"
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")


def _read_arrow(reader: GatewayReader) -> float:
    """Rows/s of the whole series as a table."""
    started = time.perf_counter()
    body = reader.get("/api/v1/bars", symbol="bench:BTC/USD", interval="1m", format="arrow")
    table = pa.ipc.open_stream(body).read_all()
    seconds = time.perf_counter() - started
    if table.num_rows != BARS:
        raise RuntimeError(f"the table has {table.num_rows} rows, expected {BARS}")
    return BARS / seconds


def _copied(connection: psycopg.Connection[tuple[object, ...]]) -> float:
    """Rows/s of the same rows by COPY."""
    started = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(f"COPY ({ROWS} ORDER BY ts) TO STDOUT (FORMAT BINARY)") as copy:
        size = sum(len(block) for block in copy)
    seconds = time.perf_counter() - started
    if size < BARS * 6 * 8:
        raise RuntimeError(f"COPY gave {size} bytes")
    return BARS / seconds


def _history(reader: GatewayReader, connection: psycopg.Connection[tuple[object, ...]]) -> Iterator[Figure]:
    places = random.Random(5)
    took: list[float] = []
    queried: list[float] = []
    for number in range(WARM + REQUESTS):
        begin = T0 + places.randrange(BARS - PAGE) * MINUTE
        end = begin + PAGE * MINUTE
        query = {"symbol": "bench:BTC/USD", "resolution": "1", "from": begin // 1_000, "to": end // 1_000}
        asked, bare = milliseconds(reader.get, "/history", **query), milliseconds(_queried, connection, begin, end)
        if number >= WARM:
            took.append(asked)
            queried.append(bare)
    p99, bare = p99_of(took), p99_of(queried)
    yield Figure("gateway-history-p99", p99, "ms", LIMIT_MS, p99 / LIMIT_MS)
    yield Figure("gateway-history-p99-bare", bare, "ms", LIMIT_MS, bare / LIMIT_MS)
    yield against("gateway-history-ratio", took, queried, "ms")


def _queried(connection: psycopg.Connection[tuple[object, ...]], begin: int, end: int) -> None:
    text = f"{ROWS} AND ts >= to_timestamp(%s / 1000.0) AND ts < to_timestamp(%s / 1000.0) ORDER BY ts"
    found = connection.execute(text, (begin, end)).fetchall()
    if len(found) != PAGE:
        raise RuntimeError(f"the query gave {len(found)} rows, expected {PAGE}")


def _search(reader: GatewayReader) -> Figure:
    texts = random.Random(6)
    asked = [f"S{texts.randrange(SYMBOLS)}" for _ in range(WARM + REQUESTS)]
    took = [milliseconds(reader.get, "/search", query=text, limit=30) for text in asked][WARM:]
    p99 = p99_of(took)
    return Figure("gateway-search-p99", p99, "ms", SEARCH_LIMIT_MS, p99 / SEARCH_LIMIT_MS)
