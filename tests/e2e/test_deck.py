"""A release on a cluster: install, apply, patch, delete."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import httpx
import yaml

import by_hand.example as by_hand
from decks.runs import EXAMPLES, STORE, ended, example, is_running, pods, replay, running, trades
from kube.operator import PATHS, Things
from release import Deck, kubectl, run
from tapedeck_crds.json import Json
from waits import idle_clock


def test_the_examples_make_the_same_trades_as_on_the_store(deck: Deck) -> None:
    things = deck.things()
    played, streamed = example(things, "replay"), example(things, "backtest")
    spec = yaml.safe_load((EXAMPLES / "backtest.yaml").read_text())["spec"]
    batch = things.resource("Backtest", "batch", {**spec, "data": {"store": {**STORE, "symbols": ["BTC/USD"]}}})
    for made in (played, streamed, batch):
        ended(things, made)
    first, second = things.again(streamed)["status"], things.again(batch)["status"]
    assert first["trades"] == second["trades"] > 0
    things.until(lambda: len(trades(deck, first["runId"])) == len(trades(deck, second["runId"])) > 0, 120)
    assert trades(deck, first["runId"]) == trades(deck, second["runId"])
    columns = "extract(epoch FROM entry_ts), extract(epoch FROM exit_ts), entry_price, pnl, pnl_net"
    stored = deck.sql(f"SELECT {columns} FROM run_trades WHERE run_id = '{first['runId']}' ORDER BY seq")  # noqa: S608
    stock = by_hand.outcome()
    assert [tuple(map(float, row)) for row in stored] == by_hand.trades(stock)
    assert first["value"] == second["value"] == stock.final


def test_the_release_passes_its_own_test(deck: Deck) -> None:
    run("helm", "-n", deck.namespace, "test", "td", "--timeout", "2m")


def test_containers_run_unprivileged_on_a_read_only_file_system_without_build_tools(deck: Deck) -> None:
    tools = "pip pip3 gcc cc make node npm git"
    script = f"id -u; touch /x 2>/dev/null && echo written; for tool in {tools}; do command -v $tool; done; true"
    for name in ("operator", "recorder", "gateway"):
        assert kubectl("-n", deck.namespace, "exec", f"deploy/td-{name}", "--", "sh", "-c", script).split() == ["10001"]


def test_controls_take_effect_within_a_second_without_a_restart(deck: Deck) -> None:
    things = deck.things()
    made = replay(things, "controlled", speed=60.0)
    things.status(made, lambda s: s.get("speed") == "60x", seconds=60)
    pod = running(things, made)
    took = []
    for spec, shown in (
        ({"speed": 600.0}, lambda s: s.get("speed") == "600x"),
        ({"paused": True}, lambda s: s.get("phase") == "Paused"),
        ({"paused": False}, is_running),
        ({"seek": {"to": "2018-04-05T12:00:00Z", "id": "a"}}, lambda s: s["anchor"].get("seekId") == "a"),
    ):
        with idle_clock() as clock:
            generation = things.patch(made, {"spec": spec})["metadata"]["generation"]

            def acknowledged(status: Json, g: int = generation, holds: Callable[[Json], bool] = shown) -> bool:
                return status.get("observedGeneration") == g and holds(status)

            things.status(made, acknowledged)
        took.append(clock.spent)
    assert median(took) < 1.0, took
    assert running(things, made)["metadata"]["uid"] == pod["metadata"]["uid"]
    things.delete(made)


def test_a_deleted_replay_leaves_no_object_and_no_topic(deck: Deck) -> None:
    things = deck.things()
    made = replay(things, "gone", speed=1.0)
    topic = things.status(made, is_running, seconds=60)["topic"]
    assert topic in deck.topics()
    child = things.child_name(made)
    things.delete(made)

    def left() -> list[str]:
        return [
            kind
            for kind in ("Job", "Secret", "NetworkPolicy")
            if things.client.get(f"{PATHS[kind].format(things.namespace)}/{child}").status_code != 404
        ] + [p["metadata"]["name"] for p in pods(things, made)]

    things.until(lambda: not left(), 60)
    things.until(lambda: topic not in deck.topics(), 60)


def test_a_namespace_can_be_deleted_with_and_without_the_operator(
    deck: Deck, elsewhere: Callable[[], Things], client: httpx.Client
) -> None:
    first, second = elsewhere(), elsewhere()
    for things in (first, second):
        deck.connections_for(things)
        made = replay(things, "x", speed=1.0)
        things.status(made, is_running, seconds=60)
    client.delete(f"/api/v1/namespaces/{first.namespace}")
    first.until(lambda: client.get(f"/api/v1/namespaces/{first.namespace}").status_code == 404, 60)
    deck.scale_operator(0)
    try:
        client.delete(f"/api/v1/namespaces/{second.namespace}")
        second.until(lambda: client.get(f"/api/v1/namespaces/{second.namespace}").status_code == 404, 60)
    finally:
        deck.scale_operator(1)
