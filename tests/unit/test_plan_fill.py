"""A Replay with ``source.fill``: its plan, and the embedded deck's objects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decks.reconciler import reconciling, until
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Feed
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.embedded.objects import Objects
from tapedeck_operator.plan import Observed, Settings, plan
from tapedeck_operator.reconcile.errors import ObjectNotFound

SETTINGS = Settings(images={"feed": "f", "replay": "r"}, operator_key=b"k", results_key=b"results")
RANGE = {"from": "2018-04-04T00:00:00Z", "to": "2018-04-05T00:00:00Z"}


def replay(fill: bool = True, **store: Any) -> Json:
    wanted = {"exchange": "binance", "symbols": ["BTC/USDT", "*/EUR"], "interval": "5m", **RANGE, **store}
    return {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": "Replay",
        "metadata": {"name": "tape-of-forty-characters-in-all-1234567", "uid": "u-1", "namespace": "default"},
        "spec": {"source": {"fill": fill, "store": wanted}},
    }


def feed(**status: Any) -> Feed:
    made = plan(parse_resource(replay()), Observed(), 0, SETTINGS).apply[0]
    named = {**made["metadata"], "uid": "f-1"}
    found = parse_resource({**made, "metadata": named, **({"status": status} if status else {})})
    assert isinstance(found, Feed)
    return found


def test_its_feed_downloads_exactly_the_range() -> None:
    planned = plan(parse_resource(replay()), Observed(), 0, SETTINGS)
    assert (planned.status["phase"], planned.status["conditions"][0]["reason"]) == ("Pending", "Filling")
    [manifest] = planned.apply
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert manifest["spec"] == {
        "exchange": "binance",
        "symbols": ["BTC/USDT", "*/EUR"],
        "channels": ["bars"],
        "backfill": {**RANGE, "intervals": ["5m"], "only": True},
    }
    assert feed().metadata.name == manifest["metadata"]["name"]  # short enough for a resource
    assert plan(parse_resource(replay()), Observed(fill_feed=feed()), 0, SETTINGS).apply == ()


def test_a_range_without_an_end_is_filled_up_to_now() -> None:
    spec = plan(parse_resource(replay(to=None)), Observed(), 0, SETTINGS).apply[0]["spec"]
    assert spec["backfill"] == {"from": RANGE["from"], "intervals": ["5m"], "only": True}


def test_its_feed_uses_the_named_endpoints() -> None:
    document = replay()
    document["spec"]["source"]["endpoints"] = {"rest": "http://127.0.0.1:80"}
    [manifest] = plan(parse_resource(document), Observed(), 0, SETTINGS).apply
    assert manifest["spec"]["endpoints"] == {"rest": "http://127.0.0.1:80"}
    assert parse_resource({**manifest, "metadata": {**manifest["metadata"], "uid": "f-1"}})


@pytest.mark.parametrize("fill", [True, False])
def test_it_starts_once_nothing_is_missing(fill: bool) -> None:
    observed = Observed(fill_feed=feed(phase="Complete")) if fill else Observed()
    planned = plan(parse_resource(replay(fill)), observed, 0, SETTINGS)
    assert [each["kind"] for each in planned.apply] == ["Secret", "Job"]


def test_it_reports_the_progress_and_the_failure_of_its_feed() -> None:
    filling = plan(parse_resource(replay()), Observed(fill_feed=feed(phase="Running", message="9 of 20")), 0, SETTINGS)
    assert (filling.apply, filling.status["phase"]) == ((), "Pending")
    assert "downloads the missing bars: 9 of 20" in filling.status["message"]
    failed = plan(parse_resource(replay()), Observed(fill_feed=feed(phase="Failed", message="no such id")), 0, SETTINGS)
    assert (failed.apply, failed.status["phase"]) == ((), "Failed")
    assert failed.status["conditions"][0]["reason"] == "FillFailed"
    assert failed.status["message"].startswith("source.fill: Feed fill-")
    assert failed.status["message"].endswith("failed: no such id")


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    yield Objects(tmp_path / "objects.db")


def test_the_deck_creates_the_feed_first_and_deletes_it_with_the_replay(objects: Objects) -> None:
    made, _ = objects.apply(replay())
    uid = made["metadata"]["uid"]

    def jobs() -> list[Json]:
        return [document for document in objects.list(owner_uid=uid) if document["kind"] == "Job"]

    async def scene() -> str:
        async with reconciling(objects, SETTINGS):
            [filler] = await until(lambda: objects.list("Feed"))
            await asyncio.sleep(0.2)
            assert jobs() == []
            metadata = filler["metadata"]
            status = {"phase": "Complete", "observedGeneration": 1}
            objects.set_status("Feed", "default", metadata["name"], status, uid=metadata["uid"])
            assert len(await until(jobs)) == 1
            return str(metadata["name"])

    name = asyncio.run(scene())
    assert objects.get("Feed", "default", name)["metadata"]["generation"] == 1  # it was not applied again
    objects.delete("Replay", "default", made["metadata"]["name"])
    with pytest.raises(ObjectNotFound):
        objects.get("Feed", "default", name)
