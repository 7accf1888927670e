"""Feeds, Replays and Backtests of a running deck by its gateway, and who may change them."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from decks.process import Deck, eventually
from pods.replay import MINUTE, T0, insert_minutes
from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_deck.cli.deck import page_address
from tapedeck_deck.embedded.objects import Objects

pytestmark = pytest.mark.slow
SYMBOL = "BTC/USD"
MINUTES = 120
STRATEGY = """
import backtrader as bt


class Buyer(bt.Strategy):
    def next(self):
        print("close", self.data.close[0])
        if not self.position:
            self.buy()
"""


class Owner:
    """A client with the deck's token, in the namespace of all tests."""

    def __init__(self, address: str, objects: Objects) -> None:
        url, _, token = address.partition("#token=")
        headers = {"authorization": f"Bearer {token}"}
        self.token = token
        self.objects = objects
        self.client = httpx.Client(base_url=f"{url}api/v1", headers=headers, timeout=60, trust_env=False)
        self.anyone = httpx.Client(base_url=f"{url}api/v1", timeout=60, trust_env=False)

    def create(self, kind: str, name: str, spec: Json) -> None:
        document = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        path = f"/namespaces/default/{kind.lower()}s"
        answer = self.client.post(path, json=document)
        assert answer.status_code == 201, answer.text

    def status(self, plural: str, name: str, **query: Any) -> Json:
        answer = self.anyone.get(f"/namespaces/default/{plural}/{name}", params=query)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json().get("status") or {}
        return found

    def turn(self, name: str, **controls: Any) -> None:
        """Send controls, and wait until the Replay's status is about them, or about later ones."""
        answer = self.client.post(f"/namespaces/default/replays/{name}/controls", json=controls)
        assert answer.status_code == 200, answer.text
        generation = answer.json()["generation"]
        eventually(lambda: self.status("replays", name).get("observedGeneration", 0) >= generation)

    def at(self, name: str, minute: int) -> None:
        """Wait until a Replay is at a minute of its range."""
        expected = format_ms(T0 + minute * MINUTE)
        eventually(lambda: self.status("replays", name).get("position") == expected)


@pytest.fixture(scope="module")
def owner(shared_deck: Deck) -> Iterator[Owner]:
    home, _, objects = shared_deck
    insert_minutes((home.migrate / "store_dsn").read_text().strip(), "x", [SYMBOL], MINUTES)
    owner = Owner(page_address(home), objects)
    yield owner
    owner.client.close()
    owner.anyone.close()


def source() -> Json:
    return {"store": {"exchange": "x", "symbols": [SYMBOL]}}


def test_a_replay_is_made_and_controlled(owner: Owner) -> None:
    owner.create("Replay", "tape", {"source": source(), "paused": True, "speed": 6_000})
    owner.at("tape", 0)
    owner.turn("tape", step=5)
    owner.at("tape", 5)
    owner.turn("tape", seek=T0 + 60 * MINUTE)
    owner.at("tape", 60)
    owner.turn("tape", until=T0 + 90 * MINUTE, paused=False)
    owner.at("tape", 90)
    owner.turn("tape", until=None, unpaced=True)
    eventually(lambda: owner.status("replays", "tape")["phase"] == "Complete")
    base = "/namespaces/default/replays/tape"

    def reasons() -> list[str]:
        return [event["reason"] for event in owner.anyone.get(f"{base}/events").json()["events"]]

    eventually(lambda: reasons()[-1:] == ["Complete"])
    assert owner.anyone.get(f"{base}/log").status_code == 403  # it has sought: it may have logged later times
    (pod,) = owner.anyone.get(f"{base}/log", params={"future": 1}).json()["pods"]
    assert pod["phase"] == "Succeeded"
    names = [each["metadata"]["name"] for each in owner.anyone.get("/replays").json()["replays"]]
    assert names == ["tape"]
    assert owner.client.delete(base).status_code == 204
    assert owner.anyone.get(base).status_code == 404


def test_steps_at_the_same_time_are_executed_one_after_another(owner: Owner) -> None:
    owner.create("Replay", "stepped", {"source": source(), "paused": True})
    owner.at("stepped", 0)
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(owner.turn, "stepped", step=step) for step in (10, 10, 3, 7)]
        for each in sent:
            each.result()
    owner.at("stepped", 30)
    assert owner.client.delete("/namespaces/default/replays/stepped").status_code == 204


def test_only_the_decks_token_changes_something_and_that_is_logged(owner: Owner, shared_deck: Deck) -> None:
    home, _, objects = shared_deck
    assert stat.S_IMODE(home.control_token_file.stat().st_mode) == 0o600
    path = "/namespaces/default/replays/nobodys/controls"  # other tests ask for none
    answers = [
        owner.anyone.post(path, json={"paused": True}),
        owner.anyone.post(path, json={"paused": True}, headers={"authorization": "Bearer " + "x" * 40}),
        owner.client.post(path, json={"paused": True}, headers={"origin": "http://evil.example"}),
        owner.client.post(path, json={"paused": True}),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 403, 404]
    (log,) = {
        pod["status"]["log"]
        for pod in objects.list("Pod")
        if pod["metadata"]["labels"].get("app.kubernetes.io/name") == "gateway" and pod["status"]["phase"] == "Running"
    }

    def audited() -> list[Json]:
        whole = Path(log).read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole if '"audit"' in line and "/nobodys/" in line]

    lines = eventually(audited)  # written after the answer; those that are refused are counted, a line a minute
    assert [(line["who"], line["status"]) for line in lines] == [("owner", 404)]
    assert json.loads(lines[-1]["change"]) == {"paused": True}
    assert owner.token not in Path(log).read_text()


def test_a_strategy_of_a_notebook_runs(owner: Owner) -> None:
    stored = owner.client.post("/namespaces/default/strategies", json={"name": "mine", "source": STRATEGY})
    assert stored.status_code == 201
    module = f"{stored.json()['key'].removesuffix('.py')}:Buyer"
    owner.create("Backtest", "mine", {"strategy": {"module": module, "configMap": "mine"}, "data": source()})
    eventually(lambda: owner.status("backtests", "mine").get("phase") in ("Complete", "Failed"), 60)
    status = owner.status("backtests", "mine")
    assert (status["phase"], status["bars"]) == ("Complete", MINUTES), status
    (pod,) = owner.anyone.get("/namespaces/default/backtests/mine/log", params={"tail": 5_000}).json()["pods"]
    assert any("close" in line for line in pod["lines"]), pod["lines"][-5:]
    assert owner.client.delete("/namespaces/default/strategies/mine").status_code == 204


def test_a_backtest_tells_nothing_beyond_its_replays_position(owner: Owner) -> None:
    owner.create("Replay", "held", {"source": source(), "unpaced": True, "atEnd": "hold"})
    trading = {"strategy": {"builtin": "sma-cross"}, "data": {"replay": {"name": "held", "onSeek": "stop"}}}
    owner.create("Backtest", "bound", trading)
    eventually(lambda: owner.status("backtests", "bound").get("bars") == MINUTES, 60)
    assert owner.anyone.get("/namespaces/default/backtests/bound/log").status_code == 200

    owner.turn("held", paused=True, seek=T0 + 30 * MINUTE)
    owner.at("held", 30)
    eventually(lambda: owner.status("backtests", "bound", future=1).get("phase") in ("Complete", "Failed"), 60)
    eventually(lambda: "bars" not in owner.status("backtests", "bound"))
    known = {"phase", "observedGeneration", "conditions", "startedAt", "finishedAt", "runId", "replayUid"}
    for document in (
        owner.anyone.get("/namespaces/default/backtests/bound").json(),
        *owner.anyone.get("/backtests").json()["backtests"],
    ):
        if document["metadata"]["name"] == "bound":
            assert document["status"].keys() <= known
            assert {condition["message"] for condition in document["status"]["conditions"]} == {""}
    events = owner.anyone.get("/namespaces/default/backtests/bound/events").json()["events"]
    assert {event["message"] for event in events} == {""}
    patch = owner.client.patch(
        "/namespaces/default/backtests/bound",
        content=json.dumps({"metadata": {"labels": {"a": "b"}}}),
        headers={"content-type": "application/merge-patch+json"},
    )
    assert patch.json()["status"].keys() <= known
    assert owner.status("backtests", "bound", future=1)["bars"] == MINUTES
    log = "/namespaces/default/backtests/bound/log"
    assert owner.anyone.get(log).status_code == 403
    assert owner.anyone.get(log, params={"future": 1}).status_code == 200
