"""Retention of tables and topics."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

from pods.services import EachStore, Services
from tapedeck_common.kafka import admin
from tapedeck_common.store import retention
from tapedeck_common.store.editions import Edition
from tapedeck_common.store.retention import RetainedTable, delete_expired
from tapedeck_common.store.schema_upgrade import upgrade_schema
from waits import eventually

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROGRAM = "tapedeck_maintenance.retention_job"
RUN = (
    "INSERT INTO runs (run_id, name, namespace, strategy, params, spec, exchange, symbols, interval, replay_uid, cash, "
    "started_at, ended_at) VALUES (%s, 'n', 'd', 's', '{}', '{}', 'x', '{}', '1m', '', 1, %s, %s)"
)


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_only_expired_rows_are_deleted(each_store: EachStore, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "PAGES", 7)  # many stretches, whose borders must neither skip nor overlap
    monkeypatch.setattr(retention, "RUNS", 3)
    upgrade_schema(each_store.dsn("postgres"))
    rng = random.Random(7)
    opens = [NOW - HOUR * i for i in range(24 * 100)]
    rng.shuffle(opens)
    with psycopg.connect(each_store.dsn("postgres"), autocommit=True) as connection:
        with connection.cursor().copy("COPY bars FROM STDIN") as copy:
            for ts in opens:
                copy.write_row(("x", "A/B", "1h", ts, 1.0, 1.0, 1.0, 1.0, 1.0, 0, "live"))
        connection.execute("INSERT INTO bar_series VALUES ('x', 'A/B', '1h', %s, %s)", (min(opens), max(opens)))
        connection.execute("INSERT INTO bar_series VALUES ('x', 'gone', '1h', %s, %s)", (min(opens), min(opens)))
        with connection.cursor().copy("COPY ingest_errors (topic, partition, \"offset\", at, reason, payload) "
                                      "FROM STDIN") as copy:  # fmt: skip
            for number, at in enumerate(opens):
                copy.write_row(("t", 0, number, at, "why", "x" * 100))
        for number in range(20):
            ended = None if number == 19 else NOW - timedelta(days=number)
            connection.execute(RUN, (f"r{number}", NOW - timedelta(days=99), ended))
            connection.execute("INSERT INTO run_equity VALUES (%s, 0, %s, 1, 1)", (f"r{number}", NOW))
        kind: Edition = "plain" if each_store.flavour == "plain" else "apache"
        days: dict[RetainedTable, int] = {"bars": 40, "ingest_errors": 10, "runs": 12, "trades": 0}
        gone = delete_expired(connection, kind, days, NOW)

        edge = NOW - timedelta(days=40)
        kept = {row[0] for row in connection.execute("SELECT ts FROM bars")}
        assert kept >= {ts for ts in opens if ts >= edge}
        spans = connection.execute("SELECT symbol, first_ts, last_ts FROM bar_series").fetchall()
        assert spans == [("A/B", min(kept), max(kept))]
        if kind == "plain":
            assert kept == {ts for ts in opens if ts >= edge}
            assert gone["bars"] == len(opens) - len(kept)
        else:  # whole chunks of 30 days: nothing newer goes, and what is a chunk older has gone
            assert gone["bars"] >= 1
            assert min(kept) >= edge - timedelta(days=30)
        assert _count(connection, "SELECT count(*) FROM ingest_errors") == 10 * 24 + 1
        runs = {row[0] for row in connection.execute("SELECT run_id FROM runs")}
        assert runs == {f"r{number}" for number in range(13)} | {"r19"}  # r19 has not ended
        assert {row[0] for row in connection.execute("SELECT run_id FROM run_equity")} == runs
        assert gone["runs"] == 6
        assert "trades" not in gone
        again = delete_expired(connection, kind, days, NOW)
        assert not any(again.values())


def test_the_job_deletes_expired_rows_and_is_off_by_default(each_store: EachStore, tmp_path: Path) -> None:
    upgrade_schema(each_store.dsn("postgres"))
    (tmp_path / "store_dsn").write_text(each_store.dsn("postgres"))
    with psycopg.connect(each_store.dsn("postgres"), autocommit=True) as connection:
        for age in (1, 400):
            ts = datetime.now(UTC) - timedelta(days=age)
            connection.execute("INSERT INTO bars VALUES ('x', 'A/B', '1d', %s, 1, 1, 1, 1, 1, 0, 'live')", (ts,))
        for days, left in (({}, 2), ({"bars": 0}, 2), ({"bars": 90}, 1)):
            assert _run(PROGRAM, tmp_path, TAPEDECK_RETENTION_DAYS=json.dumps(days)).returncode == 0
            assert _count(connection, "SELECT count(*) FROM bars") == left
    refused = _run(PROGRAM, tmp_path, TAPEDECK_RETENTION_DAYS='{"candles": -3}')
    assert refused.returncode != 0
    assert "candles" in refused.stderr


def test_topics_get_their_retention(services: Services, store: str, tmp_path: Path) -> None:
    (tmp_path / "store_dsn").write_text(store)
    (tmp_path / "kafka_bootstrap").write_text(services.broker.bootstrap)
    client = admin(services.connections(), "tests")

    def kept(topic: str) -> tuple[str, bool]:
        entry = client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])
        (told,) = (future.result(60) for future in entry.values())
        return told["retention.ms"].value, told["retention.ms"].is_default

    def is_kept(topic: str, expected: tuple[str, bool]) -> bool:
        return kept(topic) == expected

    before = kept("market.bars")
    for hours, (ms, is_default) in (
        ({"market.trades": 48}, (str(48 * 3_600_000), False)),
        ({}, (str(48 * 3_600_000), False)),
        ({"market.trades": 0}, before),
    ):
        done = _run("tapedeck_maintenance.migrate", tmp_path, TAPEDECK_RETENTION_HOURS=json.dumps(hours))
        assert done.returncode == 0, done.stderr
        eventually(partial(is_kept, "market.trades", (ms, is_default)))  # a broker knows a moment after its controller
    assert kept("market.bars") == before


def _run(module: str, connections: Path, **told: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, "TAPEDECK_CONNECTIONS": str(connections), **told},
        capture_output=True,
        text=True,
        timeout=900,
    )
