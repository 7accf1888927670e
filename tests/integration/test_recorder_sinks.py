"""Sinks as real servers: InfluxDB and QuestDB hold every published record once."""

from __future__ import annotations

import json
import os
import random
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from pods.recorder import LIVE, MINUTE, T0, Record, RecorderProcess, ends, eventually, publish, recorders, select
from pods.services import Services
from pods.signatures import signed
from stores.influxdb import InfluxDB
from stores.questdb import QuestDB, StoreNotInstallable
from tapedeck_common import records, topics
from tapedeck_common.market import Bar, Point, Ticker, Trade, series_key
from tapedeck_common.wire import Epoch, encode, replay_headers

KILLS = max(int(os.environ.get("TAPEDECK_FAULTS", "3")) // 3, 1)  # each restarts the recorder
SQL = Path(__file__).parents[2] / "examples/questdb.sql"
Other = InfluxDB | QuestDB

pytestmark = pytest.mark.slow


@pytest.fixture(params=[InfluxDB, QuestDB])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Other]:
    """A sink that is not started; the test is skipped where it can't be installed."""
    try:
        server: Other = request.param(tmp_path / "other")
    except StoreNotInstallable as reason:
        pytest.skip(f"no {request.param.__name__}: {reason}")
    yield server
    server.stop()


def rewind(bootstrap: str, sink: str, to: dict[tuple[str, int], int]) -> None:
    """Commit offsets of a sink's group: these, and 0 for partitions that are not named."""
    client = Consumer({"bootstrap.servers": bootstrap, "group.id": f"tapedeck-sink-{sink}"})
    partitions = range(topics.PERMANENT_PARTITIONS)
    places = [TopicPartition(t, p, to.get((t, p), 0)) for t in topics.PERMANENT_TOPICS for p in partitions]
    client.commit(offsets=places, asynchronous=False)
    client.close()


def some_records(exchange: str) -> list[Record]:
    """Records of every kind, some of which must not be delivered, with names that line protocol must escape."""
    key = series_key(exchange, "A B/USD")
    trades = [Trade(exchange, "A B/USD", T0 + 5, ident, 3.5, 0.25, "buy") for ident in ("101", "102", "b-7")]
    run = f"run-{exchange}"
    results = [
        records.RunEquity(run, 0, [T0, T0 + MINUTE], [10.0, 1e-08], [8.0, 8.5], [], [None, 1.5]),
        records.RunTrade(run, 0, "A/B", "long", 1.5, T0, 2.0, T0 + 7, 3.0, 1.5, 1.25, 0.25, 'say "in", \\', ""),
        records.RunTrade(run, 1, "A/B", "long", 2.5, T0, 2.0, T0 + 7, 3.0, 1.5, 1.25, 0.25),
        records.RunFill(run, 0, "A/B", T0, "buy", 1.5, 2.0),
    ]
    forged = encode(records.RunFill(run, 9, "A/B", T0 + 9, "buy", 9.0, 9.0))
    points = [
        Point(exchange, "A B/USD", "1m", "sma", T0, 2.5, open=2.0),
        Point(exchange, "A B/USD", "", "flow", T0 + 5, 7.0, id="101"),
        Point(exchange, "A B/USD", "", "flow", T0 + 5, None, id="101", rev=1),
        Point(exchange, "A B/USD", "", "flow", T0 + 5, 8.0, id="102"),
    ]
    bars = [Bar(exchange, "A B/USD", "1m", T0 + i * MINUTE, 2.0, 9.0, 1.0, 2.5 + i, 5.0) for i in range(3)]
    corrected = Bar(exchange, "A B/USD", "1m", T0, 2.0, 9.0, 1.0, 7.5, 5.0, rev=1)
    unclosed = Bar(exchange, "A B/USD", "1m", T0 + 9 * MINUTE, 2.0, 9.0, 1.0, 2.5, 5.0, closed=False)
    replayed = Bar(exchange, "A B/USD", "1m", T0 + 8 * MINUTE, 2.0, 9.0, 1.0, 2.5, 5.0)
    return [
        *((topics.MARKET_BARS, encode(bar), key, LIVE) for bar in (*bars, corrected, unclosed)),
        (topics.MARKET_BARS, encode(replayed), key, replay_headers("0b5f", Epoch())),
        (topics.MARKET_BARS, b"no json", key, LIVE),
        *((topics.MARKET_TRADES, encode(trade), key, LIVE) for trade in trades),
        (topics.MARKET_TICKERS, encode(Ticker(exchange, "A B/USD", T0 + 7, 3.5, bid=3.25)), key, LIVE),
        *((topics.MARKET_POINTS, encode(point), key, LIVE) for point in points),
        *((topics.RESULTS, encode(result), run, None) for result in results),
        (topics.RESULTS, forged, run, signed(forged, key=b"the key of another run")),
    ]


EXPECTED: dict[str, list[list[Any]]] = {
    "bars": [[0, 7.5, 1], [MINUTE, 3.5, 0], [2 * MINUTE, 4.5, 0]],
    "trades": [["101", 3.5], ["102", 3.5], ["b-7", 3.5]],
    "tickers": [[7, 3.5, 3.25, None]],
    "points": [["", 0, False, 2.0], ["101", 1, True, None], ["102", 0, False, None]],
    "run_equity": [[0, 10.0, None], [1, 1e-08, 1.5]],
    "run_trades": [[0, 1.5, 'say "in", \\'], [1, 2.5, ""]],
}


QUERIES = {
    "bars": "SELECT close, rev FROM bars",
    "trades": "SELECT id, price FROM trades",
    "tickers": "SELECT price, bid, ask FROM tickers",
    "points": "SELECT id, rev, taken_back, open FROM points",
    "run_equity": "SELECT seq, value, change_percent FROM run_equity",
    "run_trades": "SELECT seq, size, entry_reason FROM run_trades",
}


POINTS = 16  # with four of bars, one a correction, and four of transforms, one a retraction


def held(other: Other) -> dict[str, list[list[Any]]]:
    """The sink's rows by table; those of bars and tickers start with the time since T0 in milliseconds."""
    found = {}
    for name, query in QUERIES.items():
        # InfluxDB returns each point's time in any case.
        text = query if isinstance(other, InfluxDB) else query.replace("SELECT", "SELECT timestamp::long,")
        rows = [[row[0] // other.MILLISECOND - T0, *row[1:]] for row in other.query(text)]
        found[name] = sorted((row if name in ("bars", "tickers") else row[1:] for row in rows), key=lambda row: row[0])
    return found


def sinks(recorder: RecorderProcess) -> dict[str, Any]:
    (found,) = json.loads(recorder.get("/status") or '{"sinks": [{}]}')["sinks"]
    return dict(found)


def test_a_sink_receives_every_record_once(services: Services, store: str, tmp_path: Path, other: Other) -> None:
    bootstrap, exchange, name = services.broker.bootstrap, f"x{uuid.uuid4().hex[:8]}", f"s-{uuid.uuid4().hex[:8]}"
    before = ends(bootstrap)
    rewind(bootstrap, name, before)
    with recorders(tmp_path, bootstrap, store) as (recorder,):
        recorder.options = {"sinks": [{"name": name, "url": other.url}]}
        recorder.start()
        publish(bootstrap, some_records(exchange))
        # Without a password the sink rejects everything, which must not block the recorder.
        other.start()
        eventually(lambda: select(store, "SELECT 1 FROM bars WHERE exchange = %s", exchange))
        eventually(lambda: sinks(recorder).get("up") is False)
        eventually(lambda: "answered 401" in sinks(recorder).get("last_error", ""))
        if isinstance(other, QuestDB):
            for statement in SQL.read_text().strip().split(";\n"):
                other.query(statement)
        (recorder.home / "sinks" / name).mkdir(parents=True)
        (recorder.home / "sinks" / name / "authorization").write_text(other.authorization)
        eventually(lambda: held(other) == EXPECTED)
        wanted = {"refused": 0, "up": True, "lag": 0}
        report = eventually(lambda: wanted.items() <= (told := sinks(recorder)).items() and told)
        assert report["delivered"] >= POINTS  # at least once each
        eventually(lambda: recorder.metric("tapedeck_sink_lag_records") == 0)
        assert recorder.metric("tapedeck_sink_unreadable_records_total") >= 1
        assert recorder.stop() == 0
        # Deliver everything again, and one more point that marks the end.
        rewind(bootstrap, name, before)
        publish(bootstrap, [(topics.MARKET_BARS, encode(Bar(exchange, "Z/Z", "1m", T0, 1, 1, 1, 1, 1)), "z", LIVE)])
        recorder.start()
        eventually(lambda: sinks(recorder).get("delivered", 0) > POINTS)
        last = [[0, 1.0, 0]]
        eventually(lambda: sorted(held(other)["bars"]) == sorted([*EXPECTED["bars"], *last]))
        assert held(other) | {"bars": EXPECTED["bars"]} == EXPECTED


@pytest.mark.faults
def test_every_point_is_delivered_although_the_recorder_is_killed(
    services: Services, store: str, tmp_path: Path
) -> None:
    try:
        other = InfluxDB(tmp_path / "other")
    except StoreNotInstallable as reason:
        pytest.skip(f"no InfluxDB: {reason}")
    rng = random.Random(KILLS)
    bootstrap, exchange, name = services.broker.bootstrap, f"x{uuid.uuid4().hex[:8]}", f"s-{uuid.uuid4().hex[:8]}"
    rewind(bootstrap, name, ends(bootstrap))
    bars = [
        Bar(exchange, f"S{i % 24}/USD", "1m", T0 + i * MINUTE, 1.0, 2.0, 0.5, rng.uniform(0.5, 2.0), float(i))
        for i in range(15_000 * (KILLS + 1))
    ]
    publish(bootstrap, [(topics.MARKET_BARS, encode(bar), series_key(exchange, bar.symbol), LIVE) for bar in bars])
    with recorders(tmp_path, bootstrap, store) as (recorder,):
        other.start()
        try:
            recorder.options = {"sinks": [{"name": name, "url": other.url, "records": ["bars"]}]}
            (recorder.home / "sinks" / name).mkdir(parents=True)
            (recorder.home / "sinks" / name / "authorization").write_text(other.authorization)
            query = "SELECT count(close), sum(volume) FROM bars"

            def accepted(least: float) -> bool:
                # InfluxDB knows the series before its first points: their sum is null meanwhile.
                volume: float = sum(row[1] or 0.0 for row in other.query(query))
                return volume > least

            for kill in range(KILLS):
                recorder.start()
                eventually(partial(accepted, len(bars) * (kill + rng.random()) / (KILLS + 2)))
                recorder.kill()
            recorder.start()
            eventually(lambda: [row[1:] for row in other.query(query)] == [[len(bars), sum(b.volume for b in bars)]])
            found = {row[0] // other.MILLISECOND: row[1] for row in other.query("SELECT close FROM bars")}
            assert found == {bar.ts: bar.close for bar in bars}
        finally:
            other.stop()
