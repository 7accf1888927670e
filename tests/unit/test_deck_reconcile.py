"""The deck reconciles as a cluster does: owners, invalid resources, rejected controls, changes of other processes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from decks.reconciler import reconciling, until
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, Replay
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import ReplayReport
from tapedeck_deck.embedded.controllers import PodControllers, new_pod
from tapedeck_deck.embedded.objects import Change, Objects
from tapedeck_deck.embedded.problems import Problems
from tapedeck_deck.embedded.store_api import StoreApi
from tapedeck_deck.embedded.store_watch import StoreWatch
from tapedeck_operator.plan import Plan, Settings
from tapedeck_operator.plan.fill import fill_name
from tapedeck_operator.plan.pods import run_job
from tapedeck_operator.reconcile.api import ObjectKey
from tapedeck_operator.reconcile.applier import Applier, ChildRejected, StalePlan
from tapedeck_operator.reconcile.cache import ObjectCache

SETTINGS = Settings(images={"feed": "f", "replay": "r", "transform": "t"}, operator_key=b"k", results_key=b"results")
STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
T0 = 1_522_800_000_000


def document(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def replay(name: str, **spec: Any) -> Json:
    return document("Replay", name, {"source": STORE, **spec})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.db"


@pytest.fixture
def objects(path: Path) -> Iterator[Objects]:
    opened = Objects(path)
    yield opened
    opened.close()


def jobs(objects: Objects, owner: Json) -> list[Json]:
    return [d for d in objects.list(owner_uid=owner["metadata"]["uid"]) if d["kind"] == "Job"]


def condition(objects: Objects, name: str, type_: str) -> Json:
    conditions = objects.get("Replay", "default", name).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == type_), {})


def test_a_feed_of_another_owner_does_not_fill_a_replay(objects: Objects) -> None:
    """A complete Feed that only has the name of the fill must not start the Replay."""
    store = {**STORE["store"], "from": "2018-04-04T00:00:00Z", "to": "2018-04-05T00:00:00Z"}
    made, _ = objects.apply(replay("tape", source={"store": store, "fill": True}))
    parsed = parse_resource(made)
    assert isinstance(parsed, Replay)
    name = fill_name(parsed)
    objects.apply(document("Feed", name, {"exchange": "coinbase", "symbols": ["BTC/USD"]}))
    objects.set_status("Feed", "default", name, {"phase": "Complete", "observedGeneration": 1})

    async def scene() -> None:
        async with reconciling(objects, SETTINGS):
            await until(lambda: condition(objects, "tape", "Applied").get("reason") == "NameConflict")

    asyncio.run(scene())
    assert name in condition(objects, "tape", "Applied")["message"]
    assert jobs(objects, made) == []


def test_a_feed_that_fills_a_replay_is_reconciled_too(objects: Objects) -> None:
    """The reconciler created it, so the cache knows it before its watch event comes."""
    store = {**STORE["store"], "from": "2018-04-04T00:00:00Z", "to": "2018-04-05T00:00:00Z"}
    made, _ = objects.apply(replay("tape", source={"store": store, "fill": True}))

    async def scene() -> None:
        async with reconciling(objects, SETTINGS):
            feeds = await until(lambda: objects.list("Feed"))
            await until(lambda: jobs(objects, feeds[0]))

    asyncio.run(scene())
    assert [feed["metadata"]["ownerReferences"][0]["uid"] for feed in objects.list("Feed")] == [made["metadata"]["uid"]]


def test_an_invalid_replay_stops_no_other_and_has_the_reason_in_its_status(objects: Objects, path: Path) -> None:
    """A document that another version of Tapedeck wrote may be invalid to this one."""
    objects.apply(replay("broken", clock={"follow": "leader"}))
    with sqlite3.connect(path) as connection:
        connection.execute('UPDATE objects SET document = replace(document, \'"shards":1\', \'"shards":"one"\')')
    connection.close()
    made, _ = objects.apply(replay("leader"))

    async def scene() -> None:
        async with reconciling(objects, SETTINGS):
            await until(lambda: jobs(objects, made))
            status = await until(lambda: objects.get("Replay", "default", "broken").get("status"))
            assert status["phase"] == "Pending"
            assert "shards" in status["message"]

    asyncio.run(scene())


def test_a_finished_replay_that_is_invalid_to_this_version_stays_finished(objects: Objects, path: Path) -> None:
    done, _ = objects.apply(replay("done"))
    asyncio.run(StoreApi(objects).write_status(done, {"phase": "Complete", "message": "10 of 10 bars"}))
    with sqlite3.connect(path) as connection:
        connection.execute('UPDATE objects SET document = replace(document, \'"shards":1\', \'"shards":"one"\')')
    connection.close()

    async def scene() -> None:
        async with reconciling(objects, SETTINGS):
            status = await until(lambda: rejected(objects.get("Replay", "default", "done")["status"]))
            assert status["phase"] == "Complete"

    def rejected(status: dict[str, Any]) -> dict[str, Any] | None:
        return status if "shards" in status["message"] else None

    asyncio.run(scene())


def test_a_rejected_control_is_in_the_status_until_the_pod_accepts_it(objects: Objects) -> None:
    made, _ = objects.apply(replay("tape"))
    report = ReplayReport(
        state="waiting", range_from=T0, range_to=T0 + 60_000, last_event=T0 + 60_000, interval="1m", rows=1
    )
    rejecting = True

    async def status(_: web.Request) -> web.Response:
        return web.Response(text=report.model_dump_json())

    async def control(_: web.Request) -> web.Response:
        return web.Response(status=403 if rejecting else 204, text="signature does not match" if rejecting else None)

    async def scene() -> None:
        nonlocal rejecting
        app = web.Application()
        app.add_routes([web.get("/status", status), web.post("/control", control)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with reconciling(objects, SETTINGS):
                [job] = await until(lambda: jobs(objects, made))
                pod, _ = objects.apply(new_pod(job, 0))
                url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                objects.set_status("Pod", "default", pod["metadata"]["name"], {"phase": "Running", "url": url})
                await until(lambda: condition(objects, "tape", "Applied").get("reason") == "ControlRejected")
                assert condition(objects, "tape", "Applied")["status"] == "False"
                assert "signature does not match" in condition(objects, "tape", "Applied")["message"]
                rejecting = False
                await until(lambda: condition(objects, "tape", "Applied").get("status") == "True")
        finally:
            await runner.cleanup()

    asyncio.run(scene())


class CountedApi(StoreApi):
    """The store as an API whose calls are noted."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects)
        self.calls: list[str] = []

    async def get(self, key: ObjectKey) -> Json:
        self.calls.append(f"get {key.kind}")
        return await super().get(key)

    async def create(self, manifest: Json) -> Json:
        self.calls.append(f"create {manifest['kind']}")
        return await super().create(manifest)

    async def apply(self, manifest: Json) -> Json:
        self.calls.append(f"apply {manifest['kind']}")
        return await super().apply(manifest)


def test_a_job_is_created_by_one_call_and_a_foreign_one_is_left_alone(objects: Objects) -> None:
    made, _ = objects.apply(replay("tape"))
    resource = parse_resource(made)
    api, cache = CountedApi(objects), ObjectCache()
    applier = Applier(api, cache)
    job = run_job(resource, SETTINGS)
    planned = Plan(status={}, apply=(job,))
    asyncio.run(applier.apply_children(resource, planned))
    assert api.calls == ["create Job"]
    assert cache.get("Job", "default", job["metadata"]["name"]) == jobs(objects, made)[0]

    other = Applier(CountedApi(objects), ObjectCache())  # one that has not seen the Job yet
    with pytest.raises(StalePlan, match="exists already"):
        asyncio.run(other.apply_children(resource, planned))

    taken = job | {"metadata": job["metadata"] | {"name": "taken", "ownerReferences": []}}
    objects.apply(taken)
    mine = job | {"metadata": job["metadata"] | {"name": "taken"}}
    with pytest.raises(ChildRejected, match="does not belong to this Replay"):
        asyncio.run(applier.apply_children(resource, Plan(status={}, apply=(mine,))))


OTHER_PROCESS = """
import sys
from pathlib import Path
from tapedeck_deck.embedded.objects import Objects
objects = Objects(Path(sys.argv[1]))
objects.patch_spec("Replay", "default", "kept", {"spec": {"speed": 2}})
objects.delete("Replay", "default", "deleted")
"""


@pytest.mark.parametrize("noticed", [True, False])
def test_a_watch_delivers_changes_and_deletions_of_every_process(
    objects: Objects, path: Path, noticed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapedeck_deck.embedded.store_watch.POLL_SECONDS", 600.0)
    if not noticed:  # something else is in the place of the socket
        path.with_suffix(".changed").mkdir()
    objects.apply(replay("kept"))
    objects.apply(replay("deleted"))
    seen: list[tuple[bool, str, float]] = []

    def handle(change: Change) -> None:
        seen.append((change.deleted, change.document["metadata"]["name"], change.document["spec"]["speed"]))

    async def scene() -> None:
        watch = StoreWatch(objects)
        watch.subscribe(handle)
        watching = asyncio.create_task(watch.run())
        await until(lambda: len(seen) == 2)
        process = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", OTHER_PROCESS, str(path)], timeout=900, check=True
        )
        assert process.returncode == 0
        await until(lambda: len(seen) == 4)
        objects.apply(replay("own"))
        await until(lambda: len(seen) == 5)
        watching.cancel()

    asyncio.run(scene())
    assert seen == [
        (False, "kept", 1.0),
        (False, "deleted", 1.0),
        (False, "kept", 2.0),
        (True, "deleted", 1.0),
        (False, "own", 1.0),
    ]


def finished_run(objects: Objects, name: str, phase: str = "Complete") -> None:
    """A Replay of this phase, with the Job and the Pod that it has had."""
    made, _ = objects.apply(replay(name))
    resource = parse_resource(made)
    job, _ = objects.apply(run_job(resource, SETTINGS, extra_env={}, keyed=False, completions=1, parallelism=1))
    pod, _ = objects.apply(new_pod(job, 0))
    ended = {"phase": "Succeeded", "exitCode": 0, "finishedAt": 1.0}
    objects.set_status("Pod", "default", pod["metadata"]["name"], ended)
    done = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
    objects.set_status("Job", "default", job["metadata"]["name"], done)
    objects.set_status("Replay", "default", name, {"phase": phase, "observedGeneration": 1})


class Work:
    """What a deck does for its objects when it starts, without its services."""

    def __init__(self, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parsed = self.planned = self.statements = 0
        self._objects = objects
        loads, parse = json.loads, parse_resource

        def counted_loads(text: str) -> Any:
            self.parsed += 1
            return loads(text)

        def counted_parse(document: object) -> Any:
            self.planned += 1
            return parse(document)

        def count(statement: str) -> None:
            self.statements += "document" in statement  # not those that only ask whether there is something new

        with monkeypatch.context() as patched:
            patched.setattr("tapedeck_deck.embedded.objects.json.loads", counted_loads)
            patched.setattr("tapedeck_operator.reconcile.reconciler.parse_resource", counted_parse)
            objects._database._connection.set_trace_callback(count)
            asyncio.run(self._start())
            objects._database._connection.set_trace_callback(None)

    async def _start(self) -> None:
        problems = Problems(self._objects._database.path.with_suffix(".problems"), print)
        controllers = PodControllers(self._objects, problems)
        async with reconciling(self._objects, SETTINGS, controllers.handle) as controller:
            jobs = asyncio.create_task(controllers.run())
            resources = len(self._objects.uids("Replay"))
            await until(lambda: len(controller.cache.list("Replay")) == resources)
            await until(lambda: (controller.queue.state()[0], controllers._queue.state()[0]) == (0, 0))
            jobs.cancel()


def test_a_start_reads_each_finished_resource_once_and_does_nothing_for_it(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished_run(objects, "first")
    few = Work(objects, monkeypatch)
    with objects.transaction():
        for number in range(200):
            finished_run(objects, f"run-{number}")
    version = objects.version
    many = Work(objects, monkeypatch)
    assert (many.planned, many.statements, objects.version) == (0, few.statements, version)
    assert many.parsed - few.parsed == 200


def test_a_start_completes_a_run_whose_pods_have_ended_meanwhile(objects: Objects) -> None:
    finished_run(objects, "over")
    finished_run(objects, "ended", phase="Running")

    async def scene() -> None:
        async with reconciling(objects, SETTINGS) as controller:
            await until(lambda: objects.get("Replay", "default", "ended")["status"]["phase"] == "Complete")
            await until(lambda: controller.queue.state()[0] == 0)
            assert controller.cache.list("Job") == []

    asyncio.run(scene())


def test_an_idle_deck_reads_no_document_however_many_runs_are_finished(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    with objects.transaction():
        for number in range(200):
            objects.apply(replay(f"run-{number}"))
            objects.set_status("Replay", "default", f"run-{number}", {"phase": "Complete", "observedGeneration": 1})
    parsed = 0
    loads = json.loads

    def counted(text: str) -> Any:
        nonlocal parsed
        parsed += 1
        return loads(text)

    async def scene() -> int:
        async with reconciling(objects, SETTINGS) as controller:
            await until(lambda: len(controller.cache.list("Replay")) == 200 and controller.queue.state()[0] == 0)
            await asyncio.sleep(0.2)
            monkeypatch.setattr("tapedeck_deck.embedded.objects.json.loads", counted)
            await asyncio.sleep(0.5)
            return parsed

    assert asyncio.run(scene()) == 0
