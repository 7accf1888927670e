"""A replay's pod from start to end, as a real process on a real broker and store."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from by_hand.samples import Ohlcv
from pods.replay import MINUTE, T0, ReplayProcess, bars, check_watermarks, committed, insert_minutes, stored
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json

SYMBOLS = ["BTC/USD", "ETH/USD", "LTC/USD"]


def store_spec(**values: Any) -> Json:
    source = {"store": {"exchange": "x", "symbols": ["LTC/USD", "BTC/USD", "ETH/USD"]}}
    return {"source": source} | values


@pytest.fixture
def replay(tmp_path: Path, connections: Connections) -> Iterator[ReplayProcess]:
    running = ReplayProcess(tmp_path, connections, store_spec())
    yield running
    if running.process is not None and running.process.poll() is None:
        running.process.kill()


def test_publishes_every_bar_once_in_order(replay: ReplayProcess, store: str, connections: Connections) -> None:
    insert_minutes(store, "x", SYMBOLS, 9_000)
    replay.start()
    report = replay.until(lambda r: r["state"] == "waiting")
    assert (report["range_from"], report["range_to"], report["rows"]) == (T0, T0 + 9_000 * MINUTE, 27_000)
    assert report["anchor"] is None
    anchor = replay.anchor(unpaced=True)
    assert replay.wait() == 0
    last = replay.last_report()
    assert (last["state"], last["passed"], last["published"], last["epoch"]) == ("complete", 27_000, 27_000, "0.0")
    assert last["position"] == T0 + 9_000 * MINUTE
    assert last["anchor"]["number"] == anchor["number"]

    records = committed(connections.kafka_bootstrap, replay.topic)
    assert bars(records) == stored(store, "x")
    assert {r.header for r in records if r.kind == "bar"} == {f"1;replay;{replay.uid};0.0"}
    assert {r.key for r in records if r.kind == "bar"} == {f"x:{s}" for s in SYMBOLS}
    start = records[0]
    assert start.kind == "start"
    assert [r.kind for r in records].count("start") == 1
    assert start.value["symbols"] == SYMBOLS
    assert (start.value["range_from"], start.value["range_to"]) == (T0, T0 + 9_000 * MINUTE)
    assert start.value["spec"]["source"] == {
        "channel": "bars",
        "fill": False,
        "store": store_spec()["source"]["store"] | {"interval": "1m"},
    }
    assert [r.kind for r in records[-2:]] == ["watermark", "end"]
    assert records[-1].value["published"] == 27_000
    check_watermarks(records)


def test_a_successor_of_a_complete_replay_publishes_nothing(
    replay: ReplayProcess, store: str, connections: Connections
) -> None:
    insert_minutes(store, "x", SYMBOLS, 100)
    replay.begin(unpaced=True)
    assert replay.wait() == 0
    before = committed(connections.kafka_bootstrap, replay.topic)
    replay.start()
    assert replay.wait() == 0
    assert replay.last_report()["state"] == "complete"
    assert committed(connections.kafka_bootstrap, replay.topic) == before


def test_a_symbol_without_bars_fails_the_replay(replay: ReplayProcess, store: str) -> None:
    insert_minutes(store, "x", SYMBOLS[:2], 10)
    replay.start()
    assert replay.wait() == 64
    report = replay.last_report()
    assert (report["state"], report["reason"]) == ("failed", "NoBars")
    assert "got LTC/USD" in report["message"]
    assert "got BTC/USD" not in report["message"]


def write_lean_day(folder: Path, name: str, rows: dict[int, Ohlcv]) -> None:
    """Write a day of zipped minute bars; ``rows``: minute of the day → open, high, low, close, volume."""
    with zipfile.ZipFile(folder / f"{name}_20180404.zip", "w") as archive:
        lines = [",".join(map(str, (minute * MINUTE, *row))) for minute, row in rows.items()]
        archive.writestr(f"20180404_{name}_minute_trade.csv", "\n".join(lines) + "\n")


def files_spec(**values: Any) -> Json:
    sets = [{"symbol": "BTC/USD", "path": "btcusd_*.zip"}, {"symbol": "ETH/USD", "path": "ethusd_*.zip"}]
    return {
        "source": {"files": {"format": "lean", "securityType": "crypto", "exchange": "coinbase", "sets": sets}}
    } | values


def test_plays_files_through_a_kill(replay: ReplayProcess, tmp_path: Path, connections: Connections) -> None:
    rng = random.Random(7)
    expected = []
    for name, symbol in (("btcusd", "BTC/USD"), ("ethusd", "ETH/USD")):
        minutes = rng.sample(range(1440), 700)  # in any order: the replay sorts them
        rows = {m: (p, p + 2, p - 2, p + 1, 0.125) for m in minutes if (p := 100.0 + m)}
        write_lean_day(tmp_path, name, rows)
        expected += [(T0 + minute * MINUTE, symbol, *row) for minute, row in rows.items()]
    expected.sort()
    replay.spec, replay.files = files_spec(), tmp_path
    replay.begin(speed=20_000.0, v0=expected[0][0], hold=True)  # four seconds
    replay.until(lambda r: r["published"] > 100)
    replay.kill()
    replay.start()
    reached = replay.until(lambda r: r["state"] in ("running", "holding"))
    replay.anchor(2, v0=reached["position"], unpaced=True)
    assert replay.wait() == 0
    records = committed(connections.kafka_bootstrap, replay.topic)
    assert bars(records) == expected
    assert replay.last_report()["rows"] == len(expected)


@pytest.mark.parametrize(
    ("rows", "reason", "message"),
    [
        ({0: (1.0, 2.0, 0.5, 1.5, 1.0), 1: (1.0, 2.0, 0.5, -1.5, 1.0)}, "BadFiles", "close"),
        ({0: (1.0, 2.0, 0.5, 1.5, 1.0), 1: (1.0, 2.0, 1.7, 1.5, 1.0)}, "BadFiles", "high/low"),
        ({}, "NoBars", "BTC/USD"),
    ],
)
def test_invalid_files_fail_the_replay(
    replay: ReplayProcess, tmp_path: Path, rows: Any, reason: str, message: str
) -> None:
    write_lean_day(tmp_path, "btcusd", rows)
    write_lean_day(tmp_path, "ethusd", {0: (1.0, 2.0, 0.5, 1.5, 1.0)})
    replay.spec, replay.files = files_spec(), tmp_path
    replay.start()
    assert replay.wait() == 64
    report = replay.last_report()
    assert (report["state"], report["reason"], report["published"]) == ("failed", reason, 0)
    assert message in report["message"]


def test_an_empty_range_and_an_invalid_spec(replay: ReplayProcess, store: str) -> None:
    insert_minutes(store, "x", SYMBOLS, 10)
    replay.spec["source"]["store"] |= {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
    replay.start()
    assert replay.wait() == 64
    assert replay.last_report()["reason"] == "NoBars"
    replay.spec = {"speed": 1.0}
    replay.start()
    assert replay.wait() == 64
    report = replay.last_report()
    assert report["reason"] == "BadSpec"
    assert "source" in report["message"]
