"""Transforms of a Feed's files and of a Replay, up to the store and despite kills, compared with pandas."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pandas as pd
import psycopg
import pytest

from pods.feed import FeedPod
from pods.recorder import LIVE, MINUTE, T0, caught_up, eventually, publish, recorders, select
from pods.replay import ReplayProcess, insert_minutes, stored
from pods.topic import read_topic
from pods.transform import TransformProcess
from tapedeck_common.kafka import producer
from tapedeck_common.market import Ticker, Trade
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_TICKERS, MARKET_TRADES, PERMANENT_PARTITIONS
from tapedeck_common.wire import encode
from tapedeck_crds.base import format_ms

FAULTS = int(os.environ.get("TAPEDECK_FAULTS", "3"))
CODE = """
import os, time

def spread(window):
    last = window[-1]
    if last["ts"] == {hang}:
        time.sleep(60)
    if round(last["close"]) % 50 == 0:
        raise ValueError("multiples of fifty fail")
    if any(name.startswith("TAPEDECK") for name in os.environ):
        raise RuntimeError("the function sees the pod's connections")
    return None if len(window) < 3 else max(each["high"] for each in window) - min(each["low"] for each in window)
"""
KINDS: list[dict[str, Any]] = [
    {"name": "mean", "sma": {}},
    {"name": "above", "change": {"reference": "mean"}},
    {"name": "rising", "input": "above", "filter": {"above": 0}},
    {"name": "five", "resample": {"interval": "5m"}},
]
FUNCTION = {
    "name": "spread",
    # Long, since a busy machine may stop any call.
    "function": {"module": "mine:spread", "configMap": "code", "lookback": 3, "seconds": 8},
}


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def expected_series(bars: list[tuple[Any, ...]]) -> dict[str, dict[int, float]]:
    """The series that pandas computes from (ts, open, high, low, close, volume)."""
    frame = pd.DataFrame(bars, columns=["ts", "open", "high", "low", "close", "volume"]).set_index("ts")
    above = frame.close - frame.close.rolling(5).mean()
    five = frame.close.groupby(frame.index // (5 * MINUTE) * 5 * MINUTE).agg(["last", "count"])
    found = {
        "mean": frame.close.rolling(5).mean(),
        "above": above,
        "rising": above[above > 0],
        "five": five["last"][five["count"] == 5],
    }
    valid = {name: series.dropna() for name, series in found.items()}
    return {name: dict(zip(series.index.tolist(), series.tolist(), strict=True)) for name, series in valid.items()}


def points(dsn: str, exchange: str, symbol: str) -> dict[str, dict[int, float]]:
    rows = select(
        dsn,
        "SELECT series, (extract(epoch FROM ts) * 1000)::int8, value FROM points WHERE exchange = %s AND symbol = %s",
        exchange,
        symbol,
    )
    found: dict[str, dict[int, float]] = {}
    for series, ts, value in rows:
        found.setdefault(series, {})[ts] = value
    return found


def test_from_a_feed_and_a_replay_to_the_store(
    connections: Connections, store: str, tmp_path: Path, started: ExitStack
) -> None:
    exchange = f"x{uuid.uuid4().hex[:10]}"
    rng = random.Random(5)
    # Exact binary fractions, so that no price is rounded.
    closes = [100 + rng.randrange(-200, 200) / 4 for _ in range(400)]
    bars = [(T0 + n * MINUTE, c, c + 2.5, c - 1.25, c, 1.5) for n, c in enumerate(closes)]
    header = "ts,open,high,low,close,volume"
    for name, part in (("one.csv", bars[:250]), ("two.csv", bars[250:])):
        (tmp_path / name).write_text("\n".join([header, *(",".join(map(str, bar)) for bar in part)]) + "\n")
    hang = next(ts for ts, *_, close, _ in bars[260:] if round(close) % 50)
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "mine.py").write_text(CODE.format(hang=hang))
    insert_minutes(store, exchange, ["E/F"], 10)  # the log only contains later bars of this symbol
    later = [f"{T0 + n * MINUTE},7000,7010,6990,{7000 + n % 5},1" for n in range(10, 30)]
    (tmp_path / "later.csv").write_text("\n".join([header, *later]) + "\n")
    sets = [{"symbol": "A/B", "path": "one.csv"}, {"symbol": "E/F", "path": "later.csv"}]
    files = {"exchange": exchange, "sets": sets}
    spec = {"source": {"files": files}, "transforms": [*KINDS, FUNCTION]}

    recorder = started.enter_context(recorders(tmp_path, connections.kafka_bootstrap, store))[0]
    recorder.start()
    uid = str(uuid.uuid4())
    transforms = TransformProcess(tmp_path, connections, "Feed", spec, uid, tmp_path / "functions")
    transforms.start()
    assert FeedPod(connections.kafka_bootstrap, tmp_path / "feed", tmp_path, spec).run()[0] == 0
    eventually(lambda: transforms.results().get("spread", {}).get("points", 0) > 20)
    transforms.kill()
    sets[0]["path"] = "two.csv"
    assert FeedPod(connections.kafka_bootstrap, tmp_path / "feed", tmp_path, spec).run()[0] == 0
    transforms.start()
    started.callback(transforms.kill)
    eventually(lambda: (transforms.status().get("transforms") or {}).get("caught_up"))
    caught_up(connections.kafka_bootstrap, store)

    found = points(store, exchange, "A/B")
    ok = {ts: round(close) % 50 != 0 and ts != hang for ts, *_, close, _ in bars}
    spread = {
        bars[n][0]: max(b[2] for b in bars[n - 2 : n + 1]) - min(b[3] for b in bars[n - 2 : n + 1])
        for n in range(2, len(bars))
        if ok[bars[n][0]]
    }
    assert found.pop("spread") == spread
    expected = expected_series(bars)
    assert {name: pytest.approx(series) for name, series in expected.items()} == found
    expected = expected_series([(ts, *prices) for ts, symbol, *prices in stored(store, exchange) if symbol == "E/F"])
    found = points(store, exchange, "E/F")
    assert len(found.pop("spread")) == 16  # all but those of 7000, a multiple of fifty
    assert found == {
        name: pytest.approx({ts: value for ts, value in series.items() if ts >= T0 + 10 * MINUTE})
        for name, series in expected.items()
    }
    errors = select(
        store, "SELECT DISTINCT place, reason FROM ingest_errors WHERE exchange = %s AND symbol = 'A/B'", exchange
    )
    assert {(place, reason) for place, reason in errors} == {
        (f"transforms.spread 1m at {format_ms(ts)}", "took longer than 8 s, and was killed" if ts == hang
         else "ValueError: multiples of fifty fail (mine.py:9)")
        for ts, valid in list(ok.items())[2:] if not valid
    }  # fmt: skip
    assert transforms.results()["spread"]["lookback"] == 2
    assert transforms.stop() == 0

    insert_minutes(store, exchange, ["C/D"], 90)
    replay = ReplayProcess(
        tmp_path,
        connections,
        {
            "source": {"store": {"exchange": exchange, "symbols": ["C/D"], "interval": "1m"}},
            "unpaced": True,
            "record": True,
            "loop": 2,
            "transforms": KINDS,
        },
    )
    transforms = TransformProcess(tmp_path, connections, "Replay", replay.spec, replay.uid, name=replay.name)
    transforms.start()
    started.callback(transforms.kill)
    replay.begin(unpaced=True, loop_rounds=2, loop_from=T0, loop_to=T0 + 90 * MINUTE)
    assert replay.wait() == 0
    eventually(lambda: transforms.status().get("state") == "complete")
    transforms.kill()
    transforms.start()  # reads the end of the replay again
    eventually(lambda: transforms.status().get("state") == "complete")
    expected = expected_series([(ts, *prices) for ts, symbol, *prices in stored(store, exchange) if symbol == "C/D"])
    rounds: dict[str, dict[str, dict[int, float]]] = {}
    for key, point, header in read_topic(connections.kafka_bootstrap, f"tapedeck.points.{replay.uid}", exchange):
        assert key == f"{exchange}:C/D"
        rounds.setdefault(header, {}).setdefault(point["series"], {})[point["ts"]] = point["value"]
    assert list(rounds) == [f"td=1;replay;{replay.uid};0.{n}" for n in range(2)]
    for published in rounds.values():  # each round starts without state
        assert {name: pytest.approx(series) for name, series in expected.items()} == published
    caught_up(connections.kafka_bootstrap, store)
    assert points(store, replay.recorded, "C/D") == published
    sources = "SELECT DISTINCT source FROM points WHERE exchange = %s"
    with psycopg.connect(store) as connection:
        assert connection.execute(sources, (replay.recorded,)).fetchall() == [("replay",)]


def test_transforms_of_a_replay_of_trades(
    connections: Connections, store: str, tmp_path: Path, started: ExitStack
) -> None:
    exchange, rng = f"x{uuid.uuid4().hex[:10]}", random.Random(3)
    rows = [(exchange, "A/B", T0 + n * 7_000, str(n), 100 + rng.randrange(-400, 400) / 8, 0.5) for n in range(200)]
    with psycopg.connect(store) as connection:
        connection.cursor().executemany(
            "INSERT INTO trades VALUES (%s, %s, to_timestamp(%s / 1000.0), %s, %s, %s, 'buy', 'backfill')", rows
        )
    of_trades = {"channel": "trades"}
    specs = [
        {"name": "mean", **of_trades, "sma": {}},
        {"name": "above", **of_trades, "change": {"reference": "mean"}},
        {"name": "rising", "input": "above", "filter": {"above": 0}},
        {"name": "minutes", **of_trades, "resample": {"interval": "1m"}},
        {"name": "number", **of_trades, "function": {"module": "builtins:len", "lookback": 4}},
    ]
    source = {"store": {"exchange": exchange, "symbols": ["A/B"]}, "channel": "trades"}
    replay = ReplayProcess(tmp_path, connections, {"source": source, "unpaced": True, "transforms": specs})
    transforms = TransformProcess(tmp_path, connections, "Replay", replay.spec, replay.uid)
    transforms.start()
    started.callback(transforms.kill)
    replay.begin(unpaced=True)
    assert replay.wait() == 0
    eventually(lambda: transforms.status().get("state") == "complete")
    found: dict[str, dict[int, float]] = {}
    for _, point, _ in read_topic(connections.kafka_bootstrap, f"tapedeck.points.{replay.uid}", exchange):
        found.setdefault(point["series"], {})[point["ts"]] = point["value"]
    prices = pd.Series({row[2]: row[4] for row in rows})
    above = prices - prices.rolling(5).mean()
    expected = {
        "mean": prices.rolling(5).mean(),
        "above": above,
        "rising": above[above > 0],
        "minutes": prices.groupby(prices.index // MINUTE * MINUTE).last().iloc[1:],
        "number": pd.Series(4.0, prices.index[3:]),
    }
    assert found == {name: pytest.approx(series.dropna().to_dict()) for name, series in expected.items()}

    bars = TransformProcess(tmp_path, connections, "Replay", replay.spec | {"transforms": KINDS}, str(uuid.uuid4()))
    bars.start()
    started.callback(bars.kill)
    failed = eventually(lambda: (told := bars.status()).get("state") == "failed" and told)
    assert "of another channel, expected trades, which the Replay plays" in failed["message"]


@contextmanager
def other_writers(connections: Connections) -> Iterator[None]:
    """Another program writes to every partition all the time, so that its end is never reached for long."""
    over, client = Event(), producer(connections, "others", {"enable.idempotence": False})

    def trade() -> None:
        value = encode(Trade("others", "A/B", T0, "1", 1.0, 1.0, "buy"))
        while not over.wait(0.03):
            for partition in range(PERMANENT_PARTITIONS):
                client.produce(MARKET_TRADES, value, "others:A/B", partition=partition, headers=[*LIVE])
            client.poll(0)

    thread = Thread(target=trade)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        client.flush(10)


@pytest.mark.faults
def test_kills_at_random_instants_change_no_result(
    connections: Connections, tmp_path: Path, started: ExitStack
) -> None:
    exchange, rng = f"x{uuid.uuid4().hex[:10]}", random.Random(FAULTS)
    prices = [100 + rng.randrange(-400, 400) / 8 for _ in range(600 * (FAULTS + 1))]
    trades = [Trade(exchange, "A/B", T0 + n * 1_500, str(n), price, 0.5, "buy") for n, price in enumerate(prices)]
    tickers = [Ticker(exchange, "A/B", trade.ts, trade.price, bid=trade.price - 0.5) for trade in trades]
    records = [
        (topic, encode(record), f"{exchange}:A/B", LIVE)
        for pair in zip(trades, tickers, strict=True)
        for topic, record in zip((MARKET_TRADES, MARKET_TICKERS), pair, strict=True)
    ]
    on = {"channel": "trades"}
    specs = [
        {"name": "mean", **on, "sma": {"over": 50}},
        {"name": "above", **on, "change": {"reference": "mean"}},
        {"name": "rising", "input": "above", "filter": {"above": 40}},  # rare, so that its mean looks far back
        {"name": "far", "input": "rising", "sma": {"over": 7}},
        {"name": "minutes", **on, "resample": {"interval": "1m"}},
        {"name": "slow", "input": "minutes", "ema": {"over": 5}},
        {"name": "bids", "channel": "ticker", "field": "bid", "sma": {"over": 50}},
    ]
    spec = {"exchange": exchange, "symbols": ["A/*"], "channels": ["trades", "bars", "ticker"], "transforms": specs}
    pod = TransformProcess(tmp_path, connections, "Feed", spec, str(uuid.uuid4()))
    for life in range(FAULTS):
        publish(connections.kafka_bootstrap, records[life * 1200 : (life + 1) * 1200])
        pod.start()
        eventually(lambda: pod.results().get("mean", {}).get("points", 0))
        time.sleep(rng.uniform(0, 1.5))
        pod.kill()
    publish(connections.kafka_bootstrap, records[FAULTS * 1200 :])
    now = int(time.time() * 1000)
    pod.start()
    started.callback(pod.kill)
    started.enter_context(other_writers(connections))
    eventually(lambda: ((pod.status().get("transforms") or {}).get("caught_up") or 0) > now)

    published: dict[str, dict[int, set[float]]] = {}
    for _, point, _ in read_topic(connections.kafka_bootstrap, "market.points", exchange):
        published.setdefault(point["series"], {}).setdefault(point["ts"], set()).add(point["value"])
    assert all(len(values) == 1 for series in published.values() for values in series.values())  # repeats are equal
    frame = pd.DataFrame({"price": prices, "ts": [trade.ts for trade in trades]}).set_index("ts")
    mean = frame.price.rolling(50).mean()
    rising = (frame.price - mean)[frame.price - mean > 40]
    minutes = frame.price.groupby(frame.index // MINUTE * MINUTE).last().iloc[1:-1]
    slow = minutes.rolling(20, min_periods=5).apply(lambda window: window.ewm(span=5).mean().iloc[-1])
    expected = {"mean": mean, "above": frame.price - mean, "rising": rising, "far": rising.rolling(7).mean()}
    expected["bids"] = (frame.price - 0.5).rolling(50).mean()
    for name, series in {**expected, "minutes": minutes, "slow": slow}.items():
        found = {ts: value for ts, (value,) in published[name].items()}
        assert found == pytest.approx(series.dropna().to_dict()), name
