"""Faults on a cluster and how Tapedeck recovers from them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import pytest

from decks.runs import GRACE_SECONDS, delete_pod, ended, is_running, pods, replay, running
from kube.operator import PATHS, Things
from release import ROOT, Deck, kubectl
from tapedeck_crds.json import Json

RIG = ROOT / "tests/e2e/rig"
OUTAGE_SECONDS = 60
MISSING = "tapedeck.dev/replay:missing"
SYMBOLS = "SELECT count(*) FROM bars WHERE exchange = 'coinbase' AND symbol IN ('BTC/USD', 'ETH/USD')"


@pytest.fixture(scope="module", autouse=True)
def bare(deck: Deck, client: httpx.Client) -> Iterator[tuple[Things, Json]]:
    """A Replay in a namespace without connections, created early: the report takes half a minute."""
    things = Things(client)
    yield things, replay(things, "x")
    kubectl("delete", "namespace", things.namespace, "--wait=false")


def test_the_successor_of_a_killed_pod_continues(deck: Deck) -> None:
    things = deck.things()
    made = replay(things, "killed", speed=14400.0)
    things.status(made, lambda s: s.get("published", 0) > 100, seconds=60)
    delete_pod(things, running(things, made)["metadata"]["name"], grace=0)
    status = ended(things, made)
    assert str(status["published"]) == deck.sql(SYMBOLS)[0][0]  # each bar once, published by both pods together
    things.delete(made)


def test_every_pod_ends_within_its_grace_period_and_is_replaced(deck: Deck) -> None:
    things = deck.things()
    made = replay(things, "interrupted", speed=14400.0)
    trading = things.resource(
        "Backtest", "interrupted", {"strategy": {"builtin": "sma-cross"}, "data": {"replay": {"name": "interrupted"}}}
    )
    for one in (made, trading):
        things.status(one, is_running, seconds=60)
    parts = things.must(
        things.client.get(
            PATHS["Pod"].format(things.namespace),
            params={"labelSelector": "app.kubernetes.io/name in (operator,recorder,gateway)"},
        )
    )["items"]
    names = [pod["metadata"]["name"] for pod in (*parts, running(things, made), running(things, trading))]
    assert len(names) == 5
    with ThreadPoolExecutor(len(names)) as pool:
        took = dict(zip(names, pool.map(lambda name: delete_pod(things, name), names), strict=True))
    assert max(took.values()) < GRACE_SECONDS - 5, took
    deck.rolled_out("operator", "recorder", "gateway")
    assert str(ended(things, made)["published"]) == deck.sql(SYMBOLS)[0][0]
    ended(things, trading)


def test_an_upgrade_restarts_no_pod_and_a_missing_image_is_reported(deck: Deck) -> None:
    things = deck.things()
    steady = replay(things, "steady", speed=1.0)
    things.status(steady, is_running, seconds=60)
    pod, before = running(things, steady), things.again(steady)["status"]
    operator = ("-n", deck.namespace, "set", "env", "deploy/td-operator")
    kept = _environment(things, "TAPEDECK_OPERATOR_IMAGES__REPLAY")
    kubectl(*operator, f"TAPEDECK_OPERATOR_IMAGES__REPLAY={MISSING}")
    try:
        deck.rolled_out("operator")
        made = replay(things, "imageless", speed=1.0)
        status = things.status(made, lambda s: "mage" in s["conditions"][0]["reason"], seconds=60)
        assert status["phase"] == "Pending"
        assert status["conditions"][0]["reason"] in ("ErrImagePull", "ImagePullBackOff"), status
        assert MISSING in status["message"] or "pull" in status["message"]
    finally:
        kubectl(*operator, f"TAPEDECK_OPERATOR_IMAGES__REPLAY={kept}")
        deck.rolled_out("operator")
    things.delete(made)
    things.patch(steady, {"spec": {"speed": 2.0}})
    after = things.status(steady, lambda s: s.get("speed") == "2x")
    assert running(things, steady)["metadata"]["uid"] == pod["metadata"]["uid"]
    since = [[c["lastTransitionTime"] for c in status["conditions"]] for status in (before, after)]
    assert since[0] == since[1]
    things.delete(steady)


def test_a_missing_connections_secret_is_reported(bare: tuple[Things, Json]) -> None:
    things, made = bare
    status = things.status(made, lambda s: s["conditions"][0]["reason"] == "NotStarting", seconds=90)
    assert "tapedeck-connections" in status["message"]


@pytest.mark.skipif(not (RIG / "enter").exists(), reason="needs the rig")
def test_replays_continue_while_the_api_server_is_down(deck: Deck) -> None:
    """Only on the rig, where this machine reaches pods directly and may kill the API server."""
    if subprocess.run([RIG / "enter", "true"], capture_output=True, timeout=120).returncode:
        pytest.skip("needs the rig: make e2e CLUSTER=rig")
    things = deck.things()
    made = replay(things, "unwatched", speed=600.0)
    things.status(made, is_running, seconds=60)
    pod = running(things, made)
    address = f"http://{pod['status']['podIP']}:8080/status"
    published: list[int] = []
    subprocess.run([RIG / "enter", "sh", "-c", "kill -9 $(cat /run/kube-apiserver.pid)"], check=True, timeout=120)
    try:
        until = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < until:
            published.append(httpx.get(address, timeout=30, trust_env=False).json()["published"])
            time.sleep(10)
    finally:
        subprocess.run([RIG / "up"], check=True, timeout=900, capture_output=True)
    # Ten minutes of market time per second, one bar per minute of two symbols: 200 in ten seconds.
    assert all(later - sooner > 100 for sooner, later in pairwise(published)), published
    things.patch(made, {"spec": {"speed": 7200.0}})
    things.status(made, lambda s: s.get("speed") == "7200x", seconds=60)
    assert [p["metadata"]["uid"] for p in pods(things, made)] == [pod["metadata"]["uid"]]
    things.delete(made)


def _environment(things: Things, name: str) -> str:
    path = f"/apis/apps/v1/namespaces/{things.namespace}/deployments/td-operator"
    container = things.must(things.client.get(path))["spec"]["template"]["spec"]["containers"][0]
    return next(str(entry["value"]) for entry in container["env"] if entry["name"] == name)
