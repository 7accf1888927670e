"""A store with data of the first migration is upgraded: every row is there, with the values of by-hand migrations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import create_engine

from pods.services import EachStore
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.store.schema_version import MIGRATIONS

T0 = datetime(2018, 4, 4, tzinfo=UTC)
Row = tuple[Any, ...]


def at(minute: int) -> datetime:
    return T0 + timedelta(minutes=minute)


# Every table of the first migration, with rows that later migrations change and rows that they leave.
FIRST: dict[str, list[Row]] = {
    "bars": [
        ("coinbase", "A/USD", "1m", at(0), 1.0, 4.0, 0.5, 2.0, 10.0, 0, "live"),
        ("coinbase", "A/USD", "1m", at(2), 2.0, 3.0, 1.5, 2.5, 20.0, 3, "backfill"),
        ("coinbase", "A/USD", "1m", at(7), 7.0, 7.5, 6.5, 7.25, 0.0, 0, "synthetic"),
        ("coinbase", "B/USD", "1h", at(60), 9.0, 9.0, 9.0, 9.0, 1e-8, 0, "live"),
        ("replay", "A/USD", "1m", at(1), 5.0, 5.0, 5.0, 5.0, 5.0, 0, "synthetic"),
        ("replay.mine", "A/USD", "1m", at(1), 5.0, 5.0, 5.0, 5.0, 5.0, 0, "synthetic"),
    ],
    "trades": [
        ("coinbase", "A/USD", at(0), "9", 1.5, 0.25, "buy", "live"),
        ("coinbase", "A/USD", at(0), "10", 1.25, 0.5, "sell", "live"),
        ("replay.mine", "A/USD", at(3), "1", 3.0, 1.0, "buy", "synthetic"),
    ],
    "tickers": [("coinbase", "A/USD", at(1), 1.5, 100.0, 2.0, 1.0, None, 1.75, "live")],
    "ingest_errors": [("market.bars", 3, 17, at(4), "feed", "coinbase", "A/USD", "line 7", "no close", '{"open": 1}')],
    "gaps": [
        ("coinbase", "A/USD", "1m", at(1), at(2), "open"),
        ("coinbase", "A/USD", "1m", at(3), at(7), "unfillable"),
    ],
    "kafka_offsets": [
        ("cluster", "AAAAAAAAAAAAAAAAAAAAAA", "market.bars", 0, 5),
        ("cluster", "bdAxaULJTVmVEUASnLaLSQ", "market.bars", 0, 41),
    ],
    "runs": [
        (
            "run-1", "first", "default", "sma-cross", {"fast": 3}, {"cash": 100}, "coinbase", ["A/USD", "B/USD"], "1m",
            "", 100.0, at(8), "complete", "", 4, {"return": 0.5}, "cafe", at(9),
        ),
        (
            "run-2", "second", "team", "mine", {}, {}, "coinbase", ["A/USD"], "1m", "a-uid", 1.5, at(8), "running",
            "", None, None, None, None,
        ),
    ],
    "run_trades": [("run-1", 1, "A/USD", "long", 2.0, at(0), 1.5, at(2), 2.5, 2.0, 1.75, 0.25)],
    "run_fills": [("run-1", 0, "A/USD", at(0), "buy", 2.0, 1.5), ("run-1", 1, "A/USD", at(2), "sell", 2.0, 2.5)],
    "run_equity": [("run-1", 0, at(0), 100.0, 97.0), ("run-1", 1, at(2), 101.75, 101.75)],
}  # fmt: skip
# What later migrations append to each row of a table, and the rows that they change.
APPENDED: dict[str, Row] = {
    "trades": (0,), "ingest_errors": (1,), "gaps": (0, ""), "runs": (0, None, None, None, None, None, None),
    "run_trades": ("", ""), "run_equity": (None, None, None), "kafka_offsets": (None,),
}  # fmt: skip
REMOVED = {"kafka_offsets": FIRST["kafka_offsets"][:1]}
RECORDED = {"bars": FIRST["bars"][5], "trades": FIRST["trades"][2]}  # by a Replay: their source becomes "replay"
SERIES = [
    ("coinbase", "A/USD", "1m", at(0), at(7)),
    ("coinbase", "B/USD", "1h", at(60), at(60)),
    ("replay", "A/USD", "1m", at(1), at(1)),
    ("replay.mine", "A/USD", "1m", at(1), at(1)),
]
FIVE_MINUTES = [
    ("coinbase", "A/USD", at(0), 1.0, 4.0, 0.5, 2.5, 30.0),
    ("coinbase", "A/USD", at(5), 7.0, 7.5, 6.5, 7.25, 0.0),
]


def by_hand(table: str) -> list[Row]:
    rows = [row for row in FIRST[table] if row not in REMOVED.get(table, [])]
    changed = [(*row[:-1], "replay") if row == RECORDED.get(table) else row for row in rows]
    return [row + APPENDED.get(table, ()) for row in changed]


def migrate_to(dsn: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    engine.dispose()


def insert(connection: psycopg.Connection[Any], table: str, rows: Iterable[Row]) -> None:
    for row in rows:
        values = [Jsonb(value) if isinstance(value, dict) else value for value in row]
        statement = sql.SQL("INSERT INTO {} VALUES ({})")
        places = sql.SQL(", ").join([sql.Placeholder()] * len(values))
        connection.execute(statement.format(sql.Identifier(table), places), values)


def rows_of(connection: psycopg.Connection[Any], table: str) -> list[Row]:
    return in_order(connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall())


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row[:4])


def test_a_store_of_the_first_migration_keeps_its_data(each_store: EachStore) -> None:
    dsn = each_store.dsn("postgres")
    migrate_to(dsn, "0001")
    with psycopg.connect(dsn) as connection:
        if each_store.flavour == "apache":
            connection.execute("CREATE EXTENSION timescaledb")
            for table in ("bars", "trades", "tickers"):
                connection.execute("SELECT create_hypertable(%s::regclass, by_range('ts'))", (table,))
        for table, rows in FIRST.items():
            insert(connection, table, rows)

    assert upgrade_schema(dsn) == each_store.flavour

    with psycopg.connect(each_store.dsn("tapedeck_recorder")) as connection:
        for table in FIRST:
            assert rows_of(connection, table) == in_order(by_hand(table)), table
        assert rows_of(connection, "bar_series") == SERIES
        for table in ("points", "listings", "sessions", "run_trials", "run_origins"):
            assert rows_of(connection, table) == [], table
    with psycopg.connect(each_store.dsn("tapedeck_reader")) as connection:
        of_coinbase = "SELECT * FROM bars_5m WHERE exchange = 'coinbase' ORDER BY bucket"
        assert connection.execute(of_coinbase).fetchall() == FIVE_MINUTES
        curve = connection.execute("SELECT seq, value, cash, sharpe FROM equity_curve('run-1', '{value}')").fetchall()
        assert curve == [(0, 100.0, 97.0, None), (1, 101.75, 101.75, None)]
