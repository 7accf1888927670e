"""What a user does on a cluster: install, apply, patch, delete."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kube_operator import PATHS, Things

Json = dict[str, Any]
EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE_BARS = 13_886  # examples/feed.yaml says so
STORE = {"exchange": "coinbase", "symbols": ["BTC/USD", "ETH/USD"], "interval": "1m"}


def example(things: Things, name: str) -> Json:
    return things.apply(_named(things, yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())))


def _named(things: Things, document: Json) -> Json:
    document["metadata"]["namespace"] = things.namespace
    return document


def running(things: Things, made: Json) -> Json:
    """The only pod of a resource, once it runs."""
    found: list[Json] = []

    def there() -> bool:
        found[:] = [p for p in pods(things, made) if p["status"].get("phase") == "Running"]
        return len(found) == 1

    things.until(there, 60)
    return {**found[0], "kind": "Pod"}


def pods(things: Things, made: Json) -> list[Json]:
    path = PATHS["Pod"].format(things.namespace)
    selector = f"tapedeck.dev/uid={made['metadata']['uid']}"
    items: list[Json] = things.must(things.client.get(path, params={"labelSelector": selector}))["items"]
    return items


def trades(deck: Any, run_id: str) -> list[list[str]]:
    columns = deck.sql("SELECT column_name FROM information_schema.columns WHERE table_name = 'run_trades'")
    names = [row[0] for row in columns if row[0] not in ("run_id", "received_at", "written_at")]
    query = f"SELECT {', '.join(names)} FROM run_trades WHERE run_id = '{run_id}' ORDER BY seq"  # noqa: S608
    rows: list[list[str]] = deck.sql(query)
    return rows


@pytest.fixture(scope="session", autouse=True)
def bars(deck: Any) -> None:
    """The sample data, brought in as the example says."""
    things = deck.things()
    feed = example(things, "feed")
    told = things.status(feed, lambda s: s.get("phase") in ("Complete", "Failed"), seconds=90)
    assert told["phase"] == "Complete", told
    assert told["bars"] == SAMPLE_BARS
    things.until(lambda: deck.sql("SELECT count(*) FROM bars") == [[str(SAMPLE_BARS)]], 30)


def test_the_examples_end_with_the_same_trades_as_over_the_store(deck: Any) -> None:
    things = deck.things()
    replay, streamed = example(things, "replay"), example(things, "backtest")
    spec = yaml.safe_load((EXAMPLES / "backtest.yaml").read_text())["spec"]
    batch = things.resource(
        "Backtest",
        "batch",
        {**spec, "data": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"], "interval": "1m"}}},
    )
    for made in (replay, streamed, batch):
        told = things.status(made, lambda s: s.get("phase") in ("Complete", "Failed"), seconds=120)
        assert told["phase"] == "Complete", told
    first, second = things.again(streamed)["status"], things.again(batch)["status"]
    assert first["trades"] == second["trades"] > 0
    things.until(lambda: len(trades(deck, first["runId"])) == len(trades(deck, second["runId"])) > 0, 30)
    assert trades(deck, first["runId"]) == trades(deck, second["runId"])


def test_controls_take_effect_within_a_second_on_the_same_pod(deck: Any) -> None:
    things = deck.things()
    made = things.resource("Replay", "controlled", {"source": {"store": STORE}, "speed": 60.0})
    things.status(made, lambda s: s.get("speed") == "60x", seconds=60)
    pod = running(things, made)
    for spec, shown in (
        ({"speed": 600.0}, lambda s: s.get("speed") == "600x"),
        ({"paused": True}, lambda s: s.get("phase") == "Paused"),
        ({"paused": False}, lambda s: s.get("phase") == "Running"),
        (
            {"seek": {"to": "2018-04-05T12:00:00Z", "id": "a"}},
            lambda s: s["anchor"]["seekId"] == "a" if s["anchor"].get("seekId") else False,
        ),
    ):
        began = time.monotonic()
        patched = things.patch(made, {"spec": spec})
        generation = patched["metadata"]["generation"]

        def acknowledged(status: Json, g: int = generation, holds: Any = shown) -> bool:
            return status.get("observedGeneration") == g and holds(status)

        things.status(made, acknowledged)
        assert time.monotonic() - began < 1.0, spec
    assert running(things, made)["metadata"]["uid"] == pod["metadata"]["uid"]
    things.delete(made)


def test_a_killed_pod_has_a_successor_that_goes_on(deck: Any) -> None:
    things = deck.things()
    made = things.resource("Replay", "killed", {"source": {"store": STORE}, "speed": 7200.0})
    things.status(made, lambda s: s.get("published", 0) > 100, seconds=60)
    first = running(things, made)
    deck_path = PATHS["Pod"].format(things.namespace) + f"/{first['metadata']['name']}"
    things.must(things.client.request("DELETE", deck_path, json={"gracePeriodSeconds": 0}))
    told = things.status(made, lambda s: s.get("phase") in ("Complete", "Failed"), seconds=120)
    assert told["phase"] == "Complete", told
    rows = deck.sql("SELECT count(*) FROM bars WHERE exchange = 'coinbase' AND symbol IN ('BTC/USD', 'ETH/USD')")
    assert str(told["published"]) == rows[0][0]  # each bar once, over both pods
    things.delete(made)


def test_deleting_leaves_nothing(deck: Any) -> None:
    things = deck.things()
    made = things.resource("Replay", "gone", {"source": {"store": STORE}, "speed": 1.0})
    things.status(made, lambda s: s.get("phase") == "Running", seconds=60)
    child = things.child_name(made)
    things.delete(made)

    def left() -> list[str]:
        return [
            kind
            for kind in ("Job", "Secret", "NetworkPolicy")
            if things.client.get(f"{PATHS[kind].format(things.namespace)}/{child}").status_code != 404
        ] + [p["metadata"]["name"] for p in pods(things, made)]

    things.until(lambda: not left(), 60)


def test_a_namespace_goes_with_the_operator_up_and_down(deck: Any, elsewhere: Things, client: httpx.Client) -> None:
    other = Things(client)
    made = elsewhere.resource("Replay", "x", {"source": {"store": STORE}, "speed": 1.0})
    elsewhere.status(made, lambda s: s.get("phase") == "Running", seconds=60)
    client.delete(f"/api/v1/namespaces/{elsewhere.namespace}")
    elsewhere.until(lambda: client.get(f"/api/v1/namespaces/{elsewhere.namespace}").status_code == 404, 60)
    other.resource("Replay", "x", {"source": {"store": STORE}})
    deck.scale_operator(0)
    try:
        client.delete(f"/api/v1/namespaces/{other.namespace}")
        other.until(lambda: client.get(f"/api/v1/namespaces/{other.namespace}").status_code == 404, 60)
    finally:
        deck.scale_operator(1)


def test_a_missing_connections_secret_or_image_is_told(deck: Any, client: httpx.Client) -> None:
    bare = Things(client)
    made = bare.resource("Replay", "x", {"source": {"store": STORE}})
    told = bare.status(made, lambda s: s["conditions"][0]["reason"] == "NotStarting", seconds=90)
    assert "tapedeck-connections" in told["message"]
    client.delete(f"/api/v1/namespaces/{bare.namespace}")


def test_a_restarted_operator_restarts_no_pod(deck: Any) -> None:
    things = deck.things()
    made = things.resource("Replay", "steady", {"source": {"store": STORE}, "speed": 1.0})
    things.status(made, lambda s: s.get("phase") == "Running", seconds=60)
    pod = running(things, made)
    before = things.again(made)["status"]
    deck.scale_operator(0)
    deck.scale_operator(1)
    time.sleep(8)
    after = things.again(made)["status"]
    assert running(things, made)["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["anchor"] == before["anchor"]
    assert after["conditions"] == before["conditions"]
    things.delete(made)
