"""kill -9 during a run: without repeats, the records on the topic equal those of an undisturbed run.

TAPEDECK_FAULTS sets the number of kills; their instants are seeded.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from pods.backtest import MINUTE, BacktestPod, ReplayTopic, RunRecords, read_records
from pods.runs import random_walk, spec, store_data
from pods.store import insert_bars
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_deck.embedded.processes import wait_until

KILLS = int(os.environ.get("TAPEDECK_FAULTS", "3"))
ATTEMPTS = KILLS + 20  # a run on a busy machine may end before its kill


def wait_for_points(connections: Connections, pod: BacktestPod) -> None:
    """Wait until points of the run are on the topic; a run may end while they are read."""

    def published() -> bool:
        assert pod.process is not None and pod.process.poll() in (None, 0), pod.log.read_text()
        return bool(read_records(connections, pod.uid).equity)

    assert wait_until(published, timeout=30, poll=0.01)


def run_with_kills(connections: Connections, pod: BacktestPod, rng: random.Random, bars: int) -> tuple[RunRecords, int]:
    """Kill the pod ``KILLS`` times or more, until a kill hits a run; then let it finish. Returns how many did."""
    kills_during_run = 0
    for attempt in range(ATTEMPTS):
        if attempt >= KILLS and kills_during_run:
            break
        pod.start()
        if rng.random() < 0.7:
            wait_for_points(connections, pod)
            wait_until(lambda: False, timeout=rng.uniform(0, bars / 25_000))
        else:
            wait_until(lambda: False, timeout=rng.uniform(0.1, 1.0))
        assert pod.process is not None
        kills_during_run += pod.process.poll() is None
        pod.kill()
    assert pod.run() == 0, pod.log.read_text()
    return read_records(connections, pod.uid), kills_during_run


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(60 + 30 * KILLS)
@pytest.mark.parametrize("source", ["store", "stream"])
def test_no_record_is_lost_or_duplicated(connections: Connections, tmp_path: Path, source: str) -> None:
    bars: list[Bar] = random_walk("A", 5, 40_000)
    data: dict[str, Any]
    replay_uid = ""
    if source == "store":
        insert_bars(connections.store_dsn.get_secret_value(), bars)
        data = store_data(["A"])
    else:
        topic = ReplayTopic(connections, ["A"], rows={"A": len(bars)})
        topic.start()
        topic.bars(bars, size=5_000)
        topic.end(bars[-1].ts + MINUTE)
        replay_uid, data = topic.uid, {"replay": {"name": "replay"}}
    undisturbed = BacktestPod(connections, tmp_path / "undisturbed", spec(data), replay_uid=replay_uid)
    assert undisturbed.run() == 0, undisturbed.log.read_text()
    expected = read_records(connections, undisturbed.uid)
    assert expected.repeats == 0
    assert len(expected.equity) == len(bars)
    assert len(expected.trades) > 500
    pod = BacktestPod(connections, tmp_path / "killed", spec(data), replay_uid=replay_uid)
    actual, kills_during_run = run_with_kills(connections, pod, random.Random(7), len(bars))
    assert actual.content == expected.content
    assert kills_during_run, "no kill hit the run"
    assert actual.repeats, "no run had published anything before it was killed"
