"""Parts of a running deck killed at seeded random instants: nothing is lost or duplicated.

Only the audit reads the results: from the source files, the topic (read_committed) and SQL.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from decks.process import eventually, kill
from decks.stage import PLAYS_SECONDS, Stage, backtest, feed, replay

# The tests of each workload kill it three times; here all run together.
SEEDS = range(int(os.environ.get("TAPEDECK_FAULTS", "1")))

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("victim", ["Replay", "Backtest"])
def test_a_killed_run_loses_and_duplicates_nothing(stage: Stage, victim: str, seed: int) -> None:
    name = f"{victim.lower()}-{seed}"
    stage.apply(replay(name, atEnd="hold"), backtest(name, name))  # it does not end before its kill
    uid = stage.uid(victim, name)
    anchor = eventually(lambda: stage.get("Replay", name).get("status", {}).get("anchor"))
    instant = anchor["w0"] / 1000 + random.Random(f"{victim}{seed}").uniform(0.0, 0.9) * PLAYS_SECONDS
    time.sleep(max(0.0, instant - time.time()))
    pid = stage.running(victim, name)
    kill(pid)
    stage.finish(name)
    stage.complete(("Replay", name), ("Backtest", name))
    assert stage.pid(uid) != pid
    stage.check_replay(name)
    stage.check_run(name)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_recorder_loses_and_duplicates_nothing(stage: Stage, seed: int) -> None:
    exchange = f"killed-{seed}"
    rng = random.Random(seed)
    stage.apply(feed(exchange, exchange))
    killed: list[int] = []
    for _ in range(2):
        time.sleep(rng.uniform(0.1, 1.2))
        pid = eventually(lambda: found if (found := stage.pid("recorder")) not in killed else None)
        kill(pid)
        killed.append(pid)
        time.sleep(0.3)
    stage.complete(("Feed", exchange))
    stage.check_stored(exchange)


def test_a_replay_whose_key_was_deleted_gets_it_again(stage: Stage) -> None:
    stage.apply(replay("keyless", atEnd="hold"))  # it does not end before its kill
    uid = stage.uid("Replay", "keyless")
    eventually(lambda: stage.get("Replay", "keyless").get("status", {}).get("anchor"))
    (key,) = stage.objects.list("Secret", owner_uid=uid)
    stage.objects.delete("Secret", "default", key["metadata"]["name"])
    kill(stage.running("Replay", "keyless"))
    stage.finish("keyless")
    stage.complete(("Replay", "keyless"))
    (again,) = stage.objects.list("Secret", owner_uid=uid)
    assert again["data"] == key["data"]
