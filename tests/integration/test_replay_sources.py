"""Sources of a replay besides the store and files: each played by a real process on a real broker."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from by_hand.symbols import EXCHANGES_TEXT
from pods.replay import MINUTE, T0, ReplayProcess, bars, committed, end_of, insert_minutes, stored
from pods.store import insert_bars
from tapedeck_common import wire
from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from tapedeck_deck.demo.audit import check_topic
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port

Make = Callable[[Json], ReplayProcess]


@pytest.fixture
def make(tmp_path: Path, connections: Connections) -> Iterator[Make]:
    made: list[ReplayProcess] = []

    def of_spec(spec: Json) -> ReplayProcess:
        made.append(ReplayProcess(tmp_path, connections, spec, files=tmp_path))
        return made[-1]

    yield of_spec
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.process.kill()


def played(replay: ReplayProcess, kills: int = 0) -> list[tuple[Any, ...]]:
    """The bars on the topic after a complete pass in which the pod is killed ``kills`` times."""
    replay.start()
    report = replay.until(lambda r: r["state"] in ("waiting", "failed"))
    assert report["state"] == "waiting", report["message"]
    span = report["range_to"] - report["range_from"]
    # Slow enough to be killed on its way, where it holds at the end, and unpaced after the last kill.
    replay.anchor(v0=report["range_from"], speed=span / 30_000, unpaced=not kills, hold=bool(kills))
    rng = random.Random(kills)
    for left in reversed(range(kills)):
        target = replay.status()["published"] + rng.randint(1, 1 + report["rows"] // 50)
        replay.until(lambda r, target=target: r["published"] >= target)  # type: ignore[misc]
        replay.kill()
        replay.start()
        if not left:
            reached = replay.until(lambda r: r["state"] in ("running", "holding"))
            replay.anchor(2, v0=reached["position"], unpaced=True)
    assert replay.wait() == 0, replay.last_report()
    last = replay.last_report()
    records = committed(replay.connections.kafka_bootstrap, replay.topic)
    assert last["passed"] == last["rows"] == last["published"] == end_of(records).value["published"]
    return bars(records)


SYNTHETIC = {
    "symbols": [{"symbol": "B/USD"}, {"symbol": "A/USD", "price": 7}],
    "bars": 8_000,
    "seed": 3,
    "correlation": [[1, 0.5], [0.5, 1]],
    "jumps": {"perYear": 5_000},
    "regimes": [{"volatility": 1, "meanBars": 100}, {"volatility": 3, "meanBars": 20}],
}


@pytest.mark.slow
def test_a_synthetic_market_is_the_same_after_kills(make: Make) -> None:
    spec = {"source": {"synthetic": SYNTHETIC}}
    whole = played(make(spec))
    assert len(whole) == 16_000
    assert [row[:2] for row in whole] == sorted({row[:2] for row in whole})
    assert played(make(spec), kills=3) == whole


def test_an_invalid_correlation_fails_the_replay(make: Make) -> None:
    replay = make({"source": {"synthetic": SYNTHETIC | {"correlation": [[1, 0.5], [0.4, 1]]}}})
    replay.start()
    assert replay.wait() == 64
    report = replay.last_report()
    assert report["reason"] == "BadSynthetic"
    assert "source.synthetic.correlation[1][0]: got 0.4" in report["message"]


LATE = [
    {"delay": {"seconds": 30, "jitter": 60}},
    {"duplicates": {"percent": 20, "after": 45}},
    {"disorder": {"percent": 20, "bars": 4}},
]
LATENESS_MS = 30_000 + 60_000 + 45_000 + 4 * 60_000 + 1


@pytest.mark.slow
def test_late_and_duplicated_bars_are_published_exactly_as_often_after_kills(
    make: Make, store: str, connections: Connections
) -> None:
    insert_minutes(store, "x", ["A/USD", "B/USD"], 3_000)
    spec = {"source": {"store": {"exchange": "x", "symbols": ["A/USD", "B/USD"]}}, "scenario": LATE}
    plain, killed = make(spec), make(spec)
    whole = played(plain)
    source = stored(store, "x")
    assert set(whole) == set(source)
    assert len(source) * 1.17 < len(whole) < len(source) * 1.23
    assert played(killed, kills=3) == whole

    expected = {(row[1], row[0]): tuple(row[2:]) for row in source}
    bootstrap = connections.kafka_bootstrap
    broker = {"bootstrap.servers": bootstrap}
    check = check_topic(broker, killed.topic, expected, copies=2, lateness_ms=LATENESS_MS)
    assert (check.lost, check.doubled) == (0, 0)
    assert check_topic(broker, killed.topic, expected, lateness_ms=LATENESS_MS).doubled == len(whole) - len(source)
    assert check_topic(broker, killed.topic, expected, copies=2).lost > 0
    low = 0
    for record in committed(bootstrap, killed.topic):  # no bar follows a watermark that covers it
        if record.kind == "watermark":
            low = record.value["v"]
        elif record.kind == "bar":
            assert record.value["ts"] + 60_000 > low


@pytest.mark.slow
def test_a_changed_market_is_the_same_after_kills(make: Make) -> None:
    window = {"from": "2024-01-02T00:00:00Z", "to": "2024-01-06T00:00:00Z"}
    scenario = [
        {"shuffle": {"seconds": 7_200}},
        {"volatility": {"factor": 2.5}} | window,
        {"outage": {"percent": 10}} | window,
        {"shock": {"percent": -30, "duration": 600}, "from": "2024-01-03T00:00:00Z"},
    ]
    spec = {"source": {"synthetic": SYNTHETIC | {"bars": 6_000}}, "scenario": scenario}
    assert played(make(spec), kills=1) == played(make(spec))


@pytest.fixture
def some_bars(store: str) -> None:
    insert_minutes(store, "x", ["A/EUR", "A/USD", "B/USD"], 50)


def test_patterns_select_symbols(make: Make, store: str, some_bars: None) -> None:
    replay = make({"source": {"store": {"exchange": "x", "symbols": ["*/USD", "A/EU?"]}}})
    assert played(replay) == stored(store, "x")
    replay = make({"source": {"store": {"exchange": "x", "symbols": ["?/USD"]}}})
    assert {row[1] for row in played(replay)} == {"A/USD", "B/USD"}
    start = committed(replay.connections.kafka_bootstrap, replay.topic)[0]
    assert start.value["symbols"] == ["A/USD", "B/USD"]  # resolved once


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (
            {"exchange": "y"},
            "source.store.exchange: got y, expected an exchange with bars in the store: x; has the Feed finished?",
        ),
        (
            {"symbols": ["A/USD", "A/UDS"]},
            "symbols: got A/UDS, expected a symbol of x with bars in the store, such as A/USD",
        ),
        ({"symbols": ["*/GBP"]}, "symbols: got */GBP, which matches no symbol, expected to match some of A/EUR"),
        (
            {"interval": "1s"},
            "interval: got 1s, expected an interval of A/USD in the store, or one that consists of its bars: 1m",
        ),
        (
            {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"},
            "from, to: got 2020-01-01T00:00:00Z to 2020-01-02T00:00:00Z, where A/USD has no bars of 1m, "
            "expected a range that overlaps 2018-04-04T00:00:00Z to 2018-04-04T00:49:00Z",
        ),
    ],
    ids=["exchange", "symbol", "pattern", "interval", "range"],
)
def test_the_message_names_what_the_store_has_instead(
    make: Make, some_bars: None, selection: Json, message: str
) -> None:
    replay = make({"source": {"store": {"exchange": "x", "symbols": ["A/USD"]} | selection}})
    replay.start()
    assert replay.wait() == 64
    report = replay.last_report()
    assert (report["reason"], report["published"]) == ("NoBars", 0)
    assert message in report["message"]


def aggregated(rows: list[tuple[Any, ...]], open_of: Callable[[int], int]) -> list[tuple[Any, ...]]:
    """Rows of bars as bars of a longer interval, by hand."""
    groups: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault((open_of(row[0]), row[1]), []).append(row)
    return [
        (*key, part[0][2], max(r[3] for r in part), min(r[4] for r in part), part[-1][5], sum(r[6] for r in part))
        for key, part in sorted(groups.items())
    ]


def test_an_interval_that_is_not_stored_plays_the_aggregate(make: Make, store: str) -> None:
    insert_minutes(store, "x", ["A/USD", "B/USD"], 2_000)
    of_store = {"exchange": "x", "symbols": ["*"], "interval": "5m"}
    found = played(make({"source": {"store": of_store}}), kills=1)
    expected = aggregated(stored(store, "x"), lambda ts: ts // 300_000 * 300_000)
    assert [row[:6] for row in found] == [row[:6] for row in expected]
    assert [row[6] for row in found] == pytest.approx([row[6] for row in expected])


def test_any_symbol_and_prices_below_zero(make: Make, store: str) -> None:
    rows = [
        (T0 + minute * MINUTE, symbol, -37.5 + n, -36.0 + n, -40.25 + n, -38.0 + n, 1.0)
        for minute in range(3)
        for n, symbol in enumerate(sorted(EXCHANGES_TEXT))
    ]
    insert_bars(store, [Bar("x", symbol, "1m", ts, o, h, low, c, v) for ts, symbol, o, h, low, c, v in rows])
    named = make({"source": {"store": {"exchange": "x", "symbols": EXCHANGES_TEXT}}})
    assert played(named, kills=1) == rows
    keys = {record.key for record in committed(named.connections.kafka_bootstrap, named.topic) if record.kind == "bar"}
    assert keys == {f"x:{symbol}" for symbol in EXCHANGES_TEXT}
    again = make({"source": {"topic": {"name": named.topic, "symbols": ["*"]}}})
    assert played(again) == rows


def test_months_play_at_their_ends(make: Make, store: str) -> None:
    """A month is known when the next one opens: the watermarks before a bar are earlier, its own is not."""
    days = [datetime(2018, 1, 1, tzinfo=UTC) + timedelta(n) for n in range(31 + 28 + 31)]
    opens = [round(day.timestamp() * 1000) for day in days]
    insert_bars(store, [Bar("x", "A", "1d", ts, n, n + 2, n - 1, n + 1, 1) for n, ts in enumerate(opens, 5)])
    replay = make({"source": {"store": {"exchange": "x", "symbols": ["A"], "interval": "1M"}}})
    first = {ts: round(day.replace(day=1).timestamp() * 1000) for ts, day in zip(opens, days, strict=True)}
    rows = [(ts, "A", float(n), float(n + 2), float(n - 1), float(n + 1), 1.0) for n, ts in enumerate(opens, 5)]
    assert played(replay) == aggregated(rows, first.__getitem__)
    report = replay.last_report()
    april = round(datetime(2018, 4, 1, tzinfo=UTC).timestamp() * 1000)
    assert (report["last_event"], report["position"]) == (april, april)


@pytest.mark.slow
def test_plays_the_topic_of_another_replay(make: Make, store: str) -> None:
    insert_minutes(store, "x", ["A/USD", "B/USD", "C/EUR"], 4_000)
    first = make({"source": {"store": {"exchange": "x", "symbols": ["*"]}}, "scenario": LATE})
    played(first)
    second = make({"source": {"topic": {"name": first.topic, "symbols": ["*/USD"]}}})
    assert played(second, kills=1) == [row for row in stored(store, "x") if row[1] != "C/EUR"]


def publish_on_market_bars(connections: Connections, records: list[tuple[Bar, wire.Headers]]) -> None:
    to = producer(connections, "tests")
    for bar, headers in records:
        to.produce("market.bars", wire.encode(bar), f"{bar.exchange}:{bar.symbol}", headers=headers)
    to.produce("market.bars", b"poison", "another:A/USD")  # must not disturb a replay of another exchange
    assert to.flush(30) == 0


def test_sorts_the_bars_of_the_market_topic(make: Make, connections: Connections) -> None:
    exchange = f"x{uuid.uuid4().hex[:8]}"
    rng = random.Random(1)

    def bar(minute: int, symbol: str, close: float, rev: int = 0, interval: str = "1m") -> Bar:
        return Bar(exchange, symbol, interval, T0 + minute * MINUTE, 5.0, 9.0, 1.0, close, 2.0, True, rev)

    live, backfill = wire.market_headers("live"), wire.market_headers("backfill")
    replayed = wire.replay_headers("u", wire.Epoch())  # shared topics contain them too
    records = [(bar(minute, symbol, 4.0), backfill) for minute in range(300) for symbol in ("A/USD", "B/USD")]
    records += [(bar(minute, "A/USD", 6.0), live) for minute in range(0, 300, 3)]
    records += [(bar(minute, "A/USD", 7.0, rev=1), backfill) for minute in range(0, 300, 5)]
    records += [(bar(minute, "A/USD", 8.0, rev=2), replayed) for minute in range(9)]
    records += [(bar(minute, "A/USD", 8.0, interval="5m"), live) for minute in range(0, 300, 5)]
    rng.shuffle(records)
    publish_on_market_bars(connections, records)
    spec: Json = {"source": {"topic": {"name": "market.bars", "exchange": exchange, "interval": "1m"}}}

    def close(symbol: str, minute: int) -> float:
        if symbol == "B/USD":
            return 4.0
        return 7.0 if minute % 5 == 0 else 6.0 if minute % 3 == 0 else 4.0

    assert played(make(spec)) == [
        (T0 + minute * MINUTE, symbol, 5.0, 9.0, 1.0, close(symbol, minute), 2.0)
        for minute in range(300)
        for symbol in ("A/USD", "B/USD")
    ]
    part = {"from": "2018-04-04T01:00:00Z", "to": "2018-04-04T02:00:00Z", "symbols": ["B/*"]}
    spec["source"]["topic"] |= part
    assert [row[0] for row in played(make(spec))] == [T0 + minute * MINUTE for minute in range(60, 120)]

    mixed = make({"source": {"topic": {"name": "market.bars", "exchange": exchange}}})
    mixed.start()
    assert mixed.wait() == 64
    assert mixed.last_report()["reason"] == "MixedIntervals"
    assert f"has bars of 1m from {exchange}, 5m from {exchange}" in mixed.last_report()["message"]

    everyone = make({"source": {"topic": {"name": "market.bars"}}})
    everyone.start()
    assert everyone.wait() == 64
    assert everyone.last_report()["reason"] == "BadTopic"
    # The error of our record, or of one that another test left.
    message = everyone.last_report()["message"]
    assert re.fullmatch(r"market.bars partition \d+ offset \d+: .+; expected a topic of bars", message)


def test_a_missing_source_topic_is_not_created(make: Make, connections: Connections) -> None:
    replay = make({"source": {"topic": {"name": "tapedeck.replay.of-old"}}})
    replay.start()
    assert replay.wait() == 64
    report = replay.last_report()
    assert report["reason"] == "NoTopic"
    assert "source.topic.name: got tapedeck.replay.of-old, which the broker does not have" in report["message"]


@pytest.mark.slow
def test_waits_for_a_broker_that_is_unreachable_at_the_start(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "kafka", free_port())
    spec = {"source": {"synthetic": {"symbols": [{"symbol": "A/USD"}], "bars": 100}}}
    replay = ReplayProcess(tmp_path, Connections(kafka_bootstrap=broker.bootstrap), spec)
    try:
        replay.start()
        assert replay.until(lambda _: True)["state"] == "starting"
        broker.launch()
        broker.wait_ready()
        report = replay.until(lambda r: r["state"] == "waiting", 90)
        replay.anchor(v0=report["range_from"], unpaced=True)
        assert replay.wait() == 0
        assert replay.lives == 1
        assert len(bars(committed(broker.bootstrap, replay.topic))) == 100

        # A Replay does not create shared topics, and `tapedeck migrate` has not run here.
        shared = ReplayProcess(tmp_path, replay.connections, spec | {"record": True})
        shared.start()
        assert shared.wait() == 64
        assert shared.last_report()["reason"] == "NoTopic"
        assert "market.bars: got " in shared.last_report()["message"]
    finally:
        if replay.process is not None and replay.process.poll() is None:
            replay.process.kill()
        broker.stop()


def test_a_changed_file_fails_the_replay(make: Make, tmp_path: Path) -> None:
    rows = [f"{T0 + minute * MINUTE},2,4,1,3,{minute}" for minute in range(4_000)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["ts,open,high,low,close,volume", *rows]))
    files = {"exchange": "x", "sets": [{"symbol": "A/USD", "path": "a.csv"}]}
    replay = make({"source": {"files": files}})
    replay.begin(speed=6_000.0)
    replay.until(lambda r: r["published"] > 20)
    replay.kill()
    path.write_text(path.read_text().replace(rows[3_000], f"{T0 + 3_000 * MINUTE},2,4,1,3,1"))
    replay.start()
    assert replay.wait() == 64
    report = replay.last_report()
    assert report["reason"] == "DataChanged"
    assert "A/USD: had 4000:" in report["message"]
