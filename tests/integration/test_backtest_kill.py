"""kill -9 in mid-run: what is on the topic afterwards, repeats taken out, is what an undisturbed run leaves.

TAPEDECK_FAULTS says how many kills; the instants are seeded.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from pods.backtest import MINUTE, Checked, Pod, Tape, check
from pods.runs import random_walk, spec, store_data
from pods.store import insert_bars
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_deck.embedded.processes import wait_until

KILLS = int(os.environ.get("TAPEDECK_FAULTS", "3"))


def wait_for_points(connections: Connections, pod: Pod, points: int) -> None:
    def there() -> bool:
        assert pod.process is not None and pod.process.poll() is None, pod.log.read_text()
        return len(check(connections, pod.uid).equity) > points

    assert wait_until(there, timeout=30, poll=0.01)


def disturbed(connections: Connections, pod: Pod, rng: random.Random, bars: int) -> tuple[Checked, int]:
    """Kill the pod ``KILLS`` times, each at another point of its run, then let it end."""
    in_mid_run = 0
    for _ in range(KILLS):
        pod.start()
        if rng.random() < 0.7:
            wait_for_points(connections, pod, 0)
            wait_until(lambda: False, timeout=rng.uniform(0, bars / 25_000))
        else:
            wait_until(lambda: False, timeout=rng.uniform(0.1, 1.0))
        assert pod.process is not None
        in_mid_run += pod.process.poll() is None
        pod.kill()
    assert pod.run() == 0, pod.log.read_text()
    return check(connections, pod.uid), in_mid_run


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(60 + 30 * KILLS)
@pytest.mark.parametrize("source", ["store", "stream"])
def test_nothing_lost_or_doubled(connections: Connections, tmp_path: Path, source: str) -> None:
    bars: list[Bar] = random_walk("A", 5, 40_000)
    data: dict[str, Any]
    replay_uid = ""
    if source == "store":
        insert_bars(connections.store_dsn.get_secret_value(), bars)
        data = store_data(["A"])
    else:
        tape = Tape(connections, ["A"], rows={"A": len(bars)})
        tape.start()
        tape.bars(bars, size=5_000)
        tape.end(bars[-1].ts + MINUTE)
        replay_uid, data = tape.uid, {"replay": {"name": "tape"}}
    calm = Pod(connections, tmp_path / "calm", spec(data), replay_uid=replay_uid)
    assert calm.run() == 0, calm.log.read_text()
    wanted = check(connections, calm.uid)
    assert wanted.repeats == 0
    assert len(wanted.equity) == len(bars)
    assert len(wanted.trades) > 500
    pod = Pod(connections, tmp_path / "killed", spec(data), replay_uid=replay_uid)
    got, in_mid_run = disturbed(connections, pod, random.Random(7), len(bars))
    assert got.content == wanted.content
    assert in_mid_run, "no kill hit the run"
    assert got.repeats, "no run had got anything out before it was killed"
