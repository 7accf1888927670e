"""The schema and what depends on the database, on plain Postgres and on TimescaleDB."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from pods.services import EachStore
from tapedeck.store.migrate import migrate

_SCHEMA = """
SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
"""
T0 = datetime(2018, 4, 4, tzinfo=UTC)


def test_migrating_again_changes_nothing(each_store: EachStore) -> None:
    dsn = each_store.dsn("postgres")
    assert migrate(dsn) == each_store.flavour
    with psycopg.connect(dsn) as connection:
        before = connection.execute(_SCHEMA).fetchall()
        connection.execute("INSERT INTO bars VALUES ('x', 'A/B', '1m', now(), 1, 1, 1, 1, 1, 0, 'live')")
    assert migrate(dsn) == each_store.flavour
    with psycopg.connect(dsn) as connection:
        assert connection.execute(_SCHEMA).fetchall() == before
        assert connection.execute("SELECT count(*) FROM bars").fetchone() == (1,)
    assert {name for name, _, _ in before} >= {"bars", "trades", "runs", "kafka_offsets", "bars_5m", "bars_1d"}


def test_two_migrate_at_once(each_store: EachStore) -> None:
    code = "import sys; from tapedeck.store.migrate import migrate; print(migrate(sys.argv[1]))"
    command = [sys.executable, "-c", code, each_store.dsn("postgres")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.strip() == each_store.flavour


def test_bars_and_ticks_are_hypertables_where_there_can_be_some(each_store: EachStore) -> None:
    dsn = each_store.dsn("postgres")
    migrate(dsn)
    if each_store.flavour == "plain":
        return
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
    assert {row[0] for row in rows} == {"bars", "trades", "tickers"}


@pytest.mark.parametrize(("view", "minutes"), [("bars_5m", 5), ("bars_15m", 15), ("bars_1h", 60), ("bars_4h", 240)])
def test_coarser_bars(each_store: EachStore, view: str, minutes: int) -> None:
    dsn = each_store.dsn("postgres")
    migrate(dsn)
    rng = random.Random(minutes)
    rows = []
    for symbol in ("A/USD", "B/USD"):
        for i in range(2_000):
            if rng.random() < 0.7:
                o, c = rng.uniform(90, 110), rng.uniform(90, 110)
                ohlcv = (o, max(o, c) + rng.random(), min(o, c) - rng.random(), c, float(rng.randrange(100)))
                rows.append(("x", symbol, "1m", T0 + timedelta(minutes=i), *ohlcv, 0, "live"))
    rows.append(("x", "A/USD", "5m", T0, 1.0, 999.0, 0.5, 1.0, 1.0, 0, "live"))  # another interval: not built from
    rng.shuffle(rows)
    groups: dict[tuple[str, datetime], list[tuple[object, ...]]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: r[3]):
        if row[2] == "1m":
            slot = int(row[3].timestamp()) // (minutes * 60) * minutes * 60
            groups[row[1], datetime.fromtimestamp(slot, UTC)].append(row[4:9])
    wanted = {
        key: (g[0][0], max(b[1] for b in g), min(b[2] for b in g), g[-1][3], sum(b[4] for b in g))  # type: ignore[type-var,misc,arg-type]
        for key, g in groups.items()
    }
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany("INSERT INTO bars VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)", rows)
        query = sql.SQL("SELECT symbol, bucket, open, high, low, close, volume FROM {}").format(sql.Identifier(view))
        found = connection.execute(query).fetchall()
    assert {(r[0], r[1]): r[2:] for r in found} == wanted
    assert len(found) == len(wanted) > 10
