"""What a replay can play besides the store and Lean's files: each by a real process over a real broker."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from replaying import ReplayProcess, bars, committed, insert_minutes, stored
from tapedeck.settings import Connections
from tapedeck_operator.demo.audit import check_topic

Json = dict[str, Any]
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
    """Its bars on the topic after a play through, killed so often on the way."""
    replay.start()
    report = replay.until(lambda r: r["state"] in ("waiting", "failed"))
    assert report["state"] == "waiting", report["message"]
    span = report["range_to"] - report["range_from"]
    # Slow enough not to end between two kills, and as fast as it goes after the last.
    replay.anchor(v0=report["range_from"], speed=span / 30_000, unpaced=not kills)
    rng = random.Random(kills)
    for left in reversed(range(kills)):
        target = replay.status()["published"] + rng.randint(1, 1 + report["rows"] // 50)
        replay.until(lambda r, target=target: r["published"] >= target)  # type: ignore[misc]
        replay.kill()
        replay.start()
        if not left:
            reached = replay.until(lambda r: r["state"] == "running")
            replay.anchor(2, v0=reached["position"], unpaced=True)
    assert replay.wait() == 0, replay.last_report()
    last = replay.last_report()
    records = committed(replay.connections.kafka_bootstrap, replay.topic)
    assert [r.kind for r in records[-2:]] == ["watermark", "end"]
    assert last["passed"] == last["rows"] == last["published"]
    return bars(records)


SYNTHETIC = {
    "symbols": [{"symbol": "B/USD"}, {"symbol": "A/USD", "price": 7}],
    "bars": 20_000,
    "seed": 3,
    "correlation": [[1, 0.5], [0.5, 1]],
    "jumps": {"perYear": 5_000},
    "regimes": [{"volatility": 1, "meanBars": 100}, {"volatility": 3, "meanBars": 20}],
}


@pytest.mark.slow
def test_a_synthetic_market_is_the_same_after_kills(make: Make) -> None:
    spec = {"source": {"synthetic": SYNTHETIC}}
    whole = played(make(spec))
    assert len(whole) == 40_000
    assert [row[:2] for row in whole] == sorted({row[:2] for row in whole})
    assert played(make(spec), kills=3) == whole


def test_a_correlation_that_can_not_be_is_bad_input(make: Make) -> None:
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
def test_late_and_doubled_bars_are_published_just_as_often_after_kills(
    make: Make, store: str, connections: Connections
) -> None:
    insert_minutes(store, "x", ["A/USD", "B/USD"], 8_000)
    spec = {"source": {"store": {"exchange": "x", "symbols": ["A/USD", "B/USD"]}}, "scenario": LATE}
    plain, killed = make(spec), make(spec)
    whole = played(plain)
    source = stored(store, "x")
    assert set(whole) == set(source)
    assert len(source) * 1.17 < len(whole) < len(source) * 1.23
    assert played(killed, kills=3) == whole

    expected = {(row[1], row[0]): tuple(row[2:]) for row in source}
    bootstrap = connections.kafka_bootstrap
    tally = check_topic(bootstrap, killed.topic, expected, copies=2, lateness_ms=LATENESS_MS)
    assert (tally.lost, tally.doubled) == (0, 0)
    assert check_topic(bootstrap, killed.topic, expected, lateness_ms=LATENESS_MS).doubled == len(whole) - len(source)
    assert check_topic(bootstrap, killed.topic, expected, copies=2).lost > 0
    low = 0
    for record in committed(bootstrap, killed.topic):  # no bar comes behind a watermark that covers it
        if record.kind == "watermark":
            low = record.value["v"]
        elif record.kind == "bar":
            assert record.value["ts"] + 60_000 > low


@pytest.mark.slow
def test_a_bent_market_is_the_same_after_kills(make: Make) -> None:
    window = {"from": "2024-01-02T00:00:00Z", "to": "2024-01-06T00:00:00Z"}
    scenario = [
        {"shuffle": {"seconds": 7_200}},
        {"volatility": {"factor": 2.5}} | window,
        {"outage": {"percent": 10}} | window,
        {"shock": {"percent": -30, "duration": 600}, "from": "2024-01-03T00:00:00Z"},
    ]
    spec = {"source": {"synthetic": SYNTHETIC | {"bars": 10_000}}, "scenario": scenario}
    assert played(make(spec), kills=1) == played(make(spec))
