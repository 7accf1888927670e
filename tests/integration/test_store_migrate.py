"""The schema, hypertables and rollups, on plain Postgres and on TimescaleDB."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from pods.recorder import eventually
from pods.services import EachStore, fresh_database
from reference.tables import QUERIES, stored_tables
from tapedeck_common.store.editions import create_refresh_function, request_rollup_refresh
from tapedeck_common.store.schema_upgrade import upgrade_schema

_SCHEMA = """
SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
"""
T0 = datetime(2018, 4, 4, tzinfo=UTC)
INSERT = "INSERT INTO bars VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)"
MINUTES = {"5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
Row = tuple[Any, ...]


def test_migrating_again_changes_nothing(each_store: EachStore) -> None:
    dsn = each_store.dsn("postgres")
    assert upgrade_schema(dsn) == each_store.flavour
    with psycopg.connect(dsn) as connection:
        before = connection.execute(_SCHEMA).fetchall()
        connection.execute("INSERT INTO bars VALUES ('x', 'A/B', '1m', now(), 1, 1, 1, 1, 1, 0, 'live')")
    assert upgrade_schema(dsn) == each_store.flavour
    with psycopg.connect(dsn) as connection:
        assert connection.execute(_SCHEMA).fetchall() == before
        assert connection.execute("SELECT count(*) FROM bars").fetchone() == (1,)
    assert {name for name, _, _ in before} >= {"bars", "trades", "runs", "kafka_offsets", "bars_5m", "bars_1d"}


def test_the_reference_has_every_table_and_column(each_store: EachStore) -> None:
    dsn = each_store.dsn("postgres")
    upgrade_schema(dsn)
    found: dict[str, set[str]] = defaultdict(set)
    with psycopg.connect(dsn) as connection:
        for table, column, _ in connection.execute(_SCHEMA).fetchall():
            found[table].add(column)
    documented = {name: set(stored.columns) for name, stored in stored_tables().items()}
    assert {name: found[name] for name in documented} == documented
    assert found.keys() - documented.keys() == {"alembic_version", *(f"bars_{interval}" for interval in MINUTES)}


def test_the_statements_of_the_reference_fit_the_tables(each_store: EachStore) -> None:
    upgrade_schema(each_store.dsn("postgres"))
    statements = [statement for queries in QUERIES.values() for _, statement in queries]
    assert len(statements) > 20
    with psycopg.connect(each_store.dsn("tapedeck_reader"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_concurrent_migrations(each_store: EachStore) -> None:
    code = "import sys; from tapedeck_common.store import schema_upgrade as s; print(s.upgrade_schema(sys.argv[1]))"
    command = [sys.executable, "-c", code, each_store.dsn("postgres")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=900)
        assert process.returncode == 0, err
        assert out.strip() == each_store.flavour


def test_market_tables_are_hypertables_on_timescaledb(each_store: EachStore) -> None:
    dsn = each_store.dsn("postgres")
    upgrade_schema(dsn)
    if each_store.flavour == "plain":
        return
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
    assert {row[0] for row in rows} == {"bars", "trades", "tickers", "points"}


def some_rows() -> list[Row]:
    """Two series with gaps, in any order, and a bar of another interval, which no rollup includes."""
    rng = random.Random(7)
    rows: list[Row] = [("x", "A/USD", "5m", T0, 1.0, 999.0, 0.5, 1.0, 1.0, 0, "live")]
    for symbol in ("A/USD", "B/USD"):
        for i in range(2_000):
            if rng.random() < 0.7:
                o, c = rng.uniform(90, 110), rng.uniform(90, 110)
                ohlcv = (o, max(o, c) + rng.random(), min(o, c) - rng.random(), c, float(rng.randrange(100)))
                rows.append(("x", symbol, "1m", T0 + timedelta(minutes=i), *ohlcv, 0, "live"))
    rng.shuffle(rows)
    return rows


def by_hand(rows: list[Row], minutes: int) -> dict[tuple[str, datetime], tuple[Any, ...]]:
    """(symbol, bucket) → open, high, low, close and volume of rolled-up bars."""
    groups: dict[tuple[str, datetime], list[tuple[Any, ...]]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: r[3]):
        if row[2] == "1m":
            slot = int(row[3].timestamp()) // (minutes * 60) * minutes * 60
            groups[row[1], datetime.fromtimestamp(slot, UTC)].append(row[4:9])
    return {
        key: (g[0][0], max(b[1] for b in g), min(b[2] for b in g), g[-1][3], sum(b[4] for b in g))
        for key, g in groups.items()
    }


def viewed(connection: psycopg.Connection[Any], view: str) -> dict[tuple[str, datetime], tuple[Any, ...]]:
    query = sql.SQL("SELECT symbol, bucket, open, high, low, close, volume FROM {}").format(sql.Identifier(view))
    return {(row[0], row[1]): row[2:] for row in connection.execute(query).fetchall()}


@pytest.fixture(params=["plain", pytest.param("apache", marks=pytest.mark.timescale), "timescale"])
def licensed(request: pytest.FixtureRequest) -> Iterator[EachStore]:
    """As ``each_store``, and a TimescaleDB under the Timescale licence where the environment names one."""
    make: Callable[[str, str], str]
    if request.param == "timescale":
        server = os.environ.get("TAPEDECK_TEST_TIMESCALE")
        if not server:
            pytest.skip("TAPEDECK_TEST_TIMESCALE: no superuser's DSN of a server whose licence is timescale")
        make = lambda _role, name: conninfo.make_conninfo(server, dbname=name)  # noqa: E731
    else:
        there = request.getfixturevalue("timescale" if request.param == "apache" else "services")
        make = (there if request.param == "apache" else there.postgres).dsn
    with fresh_database(make) as name:
        yield EachStore(request.param, lambda role: make(role, name))


def test_rollups_include_late_bars_and_corrections(licensed: EachStore) -> None:
    flavour, dsn = licensed.flavour, licensed.dsn("postgres")
    assert upgrade_schema(dsn) == flavour
    rows = some_rows()
    hole = (T0 + timedelta(minutes=70), T0 + timedelta(minutes=190))
    lacking = [row for row in rows if not hole[0] <= row[3] < hole[1]]
    old = next(row for row in lacking if row[2] == "1m")
    corrected = (*old[:5], 999.0, *old[6:9], 1, "live")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.cursor().executemany(INSERT, lacking)
        for name, minutes in MINUTES.items():
            if flavour == "timescale":
                connection.execute(f"CALL refresh_continuous_aggregate('bars_{name}', NULL, NULL)".encode())
            assert viewed(connection, f"bars_{name}") == by_hand(lacking, minutes)
        connection.cursor().executemany(INSERT, [row for row in rows if hole[0] <= row[3] < hole[1]])
        connection.execute("UPDATE bars SET high = 999, rev = 1 WHERE symbol = %s AND ts = %s", (old[1], old[3]))
        assert request_rollup_refresh(connection) == (len(MINUTES) if flavour == "timescale" else 0)
        wanted = [corrected if row is old else row for row in rows]

        def follows(name: str, minutes: int) -> bool:
            return viewed(connection, f"bars_{name}") == by_hand(wanted, minutes)

        for name, minutes in MINUTES.items():
            eventually(partial(follows, name, minutes))
        if flavour == "apache":  # its catalogue has what the question is about, though none of the jobs
            create_refresh_function(connection, "timescale")
            assert request_rollup_refresh(connection) == 0
