"""Pods that the kernel kills because memory is missing: nothing is lost or doubled, all recover, and the deck says why.

Each victim is moved to a cgroup without memory at a moment of its work, so that it ends where it next grows.
"""

from __future__ import annotations

import math
import os
import random
import time
from contextlib import suppress
from functools import partial

import httpx
import psycopg
import pytest
from websockets.sync.client import connect

from decks.process import eventually, phase
from decks.stage import PLAYS_SECONDS, Stage, backtest, feed, replay
from harness.out_of_memory import out_of_memory
from pods.channel_client import ChannelClient

SEEDS = range(int(os.environ.get("TAPEDECK_FAULTS", "1")))
OVER = 20
ATTEMPTS, ENDED = 5, -1  # at killing a Feed that a busy machine may let end before
MEAN = [{"name": "mean", "sma": {"over": OVER}}]
pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(180)]


def oom_events(stage: Stage) -> int:
    return sum(event["count"] for event in stage.objects.events("deck", 1_000) if event["reason"] == "OOMKilled")


def kill(stage: Stage, owner: str, part: str = "") -> bool:
    """OOM-kill the running pod of an owner (see Stage.pid), and check what the deck says of it.

    Whether it was the kernel that killed it.
    """
    return kill_pod(stage, eventually(lambda: stage.pid(owner, part)))


def kill_pod(stage: Stage, pid: int) -> bool:
    """As ``kill``, of the pod that has this pid."""
    before = oom_events(stage)
    with out_of_memory(pid) as by_the_kernel:
        eventually(lambda: _grown(stage, pid), what="the end of the pod")
    if by_the_kernel:
        eventually(lambda: oom_events(stage) > before)
        (pod,) = (p for p in stage.objects.list("Pod") if p.get("status", {}).get("pid") == pid)
        assert (pod["status"]["exitCode"], pod["status"]["reason"]) == (137, "OOMKilled")
    return by_the_kernel


def check_explained(stage: Stage, uid: str) -> None:
    """The events of the resource say that the kernel ended its pod."""
    eventually(lambda: any("was OOM-killed" in event["message"] for event in stage.objects.events(uid)))


def _grown(stage: Stage, pid: int) -> bool:
    """Whether the process has ended; else ask its probes, for which it takes memory."""
    for pod in stage.objects.list("Pod"):
        status = pod.get("status", {})
        if status.get("pid") == pid:
            if status["phase"] != "Running":
                return True
            with suppress(httpx.HTTPError):
                httpx.get(f"{status.get('url', 'http://127.0.0.1:1')}/metrics", trust_env=False, timeout=1)
    return False


def while_it_plays(stage: Stage, name: str, seed: str) -> None:
    """Wait until a seeded instant of a Replay."""
    anchor = eventually(lambda: stage.get("Replay", name).get("status", {}).get("anchor"))
    instant = anchor["w0"] / 1000 + random.Random(seed).uniform(0.0, 0.9) * PLAYS_SECONDS
    time.sleep(max(0.0, instant - time.time()))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("victim", ["Replay", "Backtest"])
def test_a_run_loses_and_duplicates_nothing(stage: Stage, victim: str, seed: int) -> None:
    name = f"oom-{victim.lower()}-{seed}"
    stage.apply(replay(name, atEnd="hold"), backtest(name, name))  # it does not end before its kill
    uid = stage.uid(victim, name)
    while_it_plays(stage, name, f"{victim}{seed}")
    if kill(stage, uid):
        check_explained(stage, uid)
    stage.finish(name)
    stage.complete(("Replay", name), ("Backtest", name))
    stage.check_replay(name)
    stage.check_run(name)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_transforms_of_a_replay_lack_no_point(stage: Stage, seed: int) -> None:
    name = f"oom-transform-{seed}"
    stage.apply(replay(name, record=True, transforms=MEAN, atEnd="hold"))  # it does not end before the kill
    uid = stage.uid("Replay", name)
    while_it_plays(stage, name, name)
    kill(stage, uid, "transform")
    stage.finish(name)
    stage.complete(("Replay", name))
    expected = expected_means(stage)
    eventually(lambda: points_of(stored_points(stage, name)) == points_of(expected))
    assert stored_points(stage, name) == {symbol: pytest.approx(series) for symbol, series in expected.items()}


def points_of(series: dict[str, dict[int, float]]) -> int:
    return sum(len(points) for points in series.values())


def stored_points(stage: Stage, name: str) -> dict[str, dict[int, float]]:
    """The points that the store has of a recorded Replay, by symbol."""
    with psycopg.connect(stage.facts["dsn"]) as connection:
        rows = connection.execute(
            "SELECT symbol, (extract(epoch FROM ts) * 1000)::int8, value FROM points WHERE exchange = %s",
            (f"replay.{name}",),
        ).fetchall()
    found: dict[str, dict[int, float]] = {}
    for symbol, ts, value in rows:
        assert ts not in found.setdefault(symbol, {})
        found[symbol][ts] = value
    return found


def expected_means(stage: Stage) -> dict[str, dict[int, float]]:
    """The mean of the last closes of the sample, summed by hand."""
    closes: dict[str, list[tuple[int, float]]] = {}
    for (symbol, ts), prices in sorted(stage.expected.items()):
        closes.setdefault(symbol, []).append((ts, prices[3]))
    return {
        symbol: {
            ts: math.fsum(price for _, price in series[n - OVER + 1 : n + 1]) / OVER
            for n, (ts, _) in enumerate(series)
            if n >= OVER - 1
        }
        for symbol, series in closes.items()
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_a_feed_imports_all_once(stage: Stage, seed: int) -> None:
    for attempt in range(ATTEMPTS):
        exchange = f"oom-feed-{seed}-{attempt}"
        stage.apply(feed(exchange, exchange))
        uid = stage.uid("Feed", exchange)
        if (pid := eventually(partial(pid_before_the_end, stage, exchange, uid))) != ENDED:
            break
    assert pid != ENDED, f"{ATTEMPTS} Feeds ended before a kill"
    if kill_pod(stage, pid):
        check_explained(stage, uid)
    stage.complete(("Feed", exchange))
    stage.check_stored(exchange)


def pid_before_the_end(stage: Stage, name: str, uid: str) -> int | None:
    """The pid of a Feed's pod, ENDED where the Feed is complete, None before both."""
    return stage.pid(uid) or (ENDED if phase(stage.objects, "Feed", name) == "Complete" else None)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_recorder_stores_all_once(stage: Stage, seed: int) -> None:
    exchange = f"oom-recorder-{seed}"
    stage.apply(feed(exchange, exchange))
    time.sleep(random.Random(seed).uniform(0.1, 1.2))
    kill(stage, "recorder")
    stage.complete(("Feed", exchange))
    stage.check_stored(exchange)


@pytest.mark.parametrize("seed", SEEDS)
def test_clients_of_the_gateway_find_it_again(stage: Stage, seed: int) -> None:
    address = stage.facts["gateway"].rstrip("/")
    url = address.replace("http:", "ws:") + "/api/v1/ws"

    def closes(client: ChannelClient) -> list[tuple[int, float]]:
        client.subscribe("b", "bars", symbol="coinbase:BTC/USD", interval="1m", snapshot=1_000)
        client.until(lambda: len(client.bars("b")) == 1_000)
        return [(ts, bar["close"]) for ts, bar in sorted(client.bars("b").items())]

    with connect(url, max_size=None, open_timeout=60) as socket:
        client = ChannelClient(socket)
        before = closes(client)
        kill(stage, "gateway")
        client.thread.join(60)
    assert not client.thread.is_alive()
    eventually(lambda: answers(address))
    with connect(url, max_size=None, open_timeout=60) as socket:
        again = ChannelClient(socket)
        again.resume(client.session, client.received[-1]["seq"])
        assert not again.of("resumed")[0]["complete"]
        assert closes(again) == before
    series = sorted((ts, prices[3]) for (symbol, ts), prices in stage.expected.items() if symbol == "BTC/USD")
    assert before == series[-1_000:]


def answers(address: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{address}/readyz", trust_env=False, timeout=5).status_code == 200
    return False
