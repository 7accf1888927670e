"""The operator's parts that need no cluster: queue, pace, cache, canary, kopf's settings, what a pod tells."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import kopf
import pytest
from aiohttp import web

from tapedeck_crds.json import Json
from tapedeck_crds.report import ReplayReport
from tapedeck_deck.embedded.admission import merge_patch
from tapedeck_operator.cluster.cache import Cache, Key
from tapedeck_operator.cluster.canary import PATIENCE, Canary
from tapedeck_operator.cluster.observe import see_pod
from tapedeck_operator.cluster.pace import StatusPace, merge_diff, urgent
from tapedeck_operator.cluster.poll import Poller
from tapedeck_operator.cluster.queue import WorkQueue
from tapedeck_operator.cluster.silence import Silence
from tapedeck_operator.cluster.watch import WATCHED, kopf_settings, registry
from tapedeck_operator.plan.network_policy import contains

A, B = Key("Replay", "n", "a"), Key("Replay", "n", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _test_fields(given: object, known: object) -> None:
    """A misspelt setting is accepted silently: so each must be a field of kopf's own dataclass."""
    names = {field.name for field in dataclasses.fields(known)}  # type: ignore[arg-type]
    assert set(vars(given)) <= names, set(vars(given)) - names


def test_each_setting_of_kopf_exists() -> None:
    given, known = kopf_settings(20), kopf.OperatorSettings()
    _test_fields(given, known)
    for group in dataclasses.fields(known):
        _test_fields(getattr(given, group.name), getattr(known, group.name))
    assert not given.posting.enabled
    assert given.watching.label_selectors["", "pods"] == "tapedeck.dev/uid"


def test_kopf_only_watches() -> None:
    handlers = registry(lambda *_: None, Silence(20))
    assert len(handlers._watching.get_all_handlers()) == len(WATCHED)
    assert not handlers._changing.get_all_handlers()
    assert not handlers._spawning.get_all_handlers()


def test_the_queue_holds_a_key_once_and_hands_it_to_one() -> None:
    async def scene() -> None:
        clock = Clock()
        queue = WorkQueue(clock=clock)
        assert queue.add(A)
        assert queue.add(A)
        assert await queue.get() == A
        queue.add(A)  # while it is being done
        queue.add(B)
        assert await queue.get() == B
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await queue.get()
        queue.done(A)
        assert await queue.get() == A
        assert queue.state() == (0, 0.0)

    asyncio.run(scene())


def test_the_sooner_time_wins_and_retries_wait_longer_up_to_a_minute() -> None:
    async def scene() -> None:
        clock = Clock()
        queue = WorkQueue(clock=clock)
        queue.add(A, 50)
        queue.add(A, 10)
        queue.add(A, 30)
        clock.now += 10
        assert await queue.get() == A
        queue.done(A)
        assert [queue.retry(A) for _ in range(10)] == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, 60]
        queue.forgive(A)
        assert queue.retry(A) == 0.25

    asyncio.run(scene())


def test_a_full_queue_says_so_and_takes_what_it_knows() -> None:
    async def scene() -> None:
        queue = WorkQueue(limit=1)
        assert queue.add(A)
        assert not queue.add(B)
        assert queue.add(A)

    asyncio.run(scene())


def condition(status: str = "True", reason: str = "Running") -> Json:
    return {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": "m"}]}


def test_progress_waits_and_phases_do_not() -> None:
    pace = StatusPace()
    old = {"phase": "Running", "published": 1, **condition()}
    assert pace.wait("u", old, {**old, "published": 2}, 1000.0) == 0
    assert pace.wait("u", old, {**old, "published": 3}, 1004.0) == pytest.approx(6)
    assert pace.wait("u", old, {**old, "phase": "Paused"}, 1004.0) == 0
    assert urgent(old, {**old, "observedGeneration": 2})
    assert urgent(old, {**old, **condition("False")})
    assert not urgent(old, {**old, "position": "p", "message": "other"})


def test_progress_of_all_is_at_most_20_a_second() -> None:
    pace = StatusPace()
    old: Json = {"published": 1}
    written = sum(pace.wait(f"u{i}", old, {"published": 2}, 1000.0 + i / 1000) == 0 for i in range(5000))
    assert written <= 5 * 20 + 20 + 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"a": 1}),
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "e": [1]}}),
        ({"l": [1, 2]}, {"l": [2]}),
        ({"a": {"x": 1}}, {"a": 3}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_a_merge_patch_leads_from_one_document_to_the_other(old: Json, new: Json) -> None:
    patch = merge_diff(old, new)
    assert merge_patch(old, patch) == new
    assert (patch == {}) == (old == new)


def replay(version: int, uid: str = "u1", name: str = "x") -> Json:
    return {"metadata": {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version)}}


def pod(name: str, uid: str, **status: Any) -> Json:
    labels = {"tapedeck.dev/uid": uid}
    metadata = {"name": name, "namespace": "n", "uid": f"pod-{name}", "resourceVersion": "5", "labels": labels}
    return {"metadata": metadata, "status": status}


def test_the_cache_keeps_the_newest_and_knows_whose_a_pod_is() -> None:
    cache = Cache()
    assert cache.put("Replay", replay(9))
    assert not cache.put("Replay", replay(9))
    assert not cache.put("Replay", replay(10**1 - 2))
    assert cache.put("Replay", replay(10))
    cache.put("Pod", pod("p", "u1"))
    assert cache.owner(pod("p", "u1")) == Key("Replay", "n", "x")
    assert [p["metadata"]["name"] for p in cache.pods("u1")] == ["p"]
    assert not cache.drop("Replay", replay(11, uid="another"))
    assert cache.drop("Replay", replay(11))
    assert cache.owner(pod("p", "u1")) is None


def test_a_report_in_several_packets_is_read_whole() -> None:
    report = ReplayReport(state="running", topic="t" * 2_000)

    async def status(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        body = report.model_dump_json().encode()
        await answer.write(body[:1_000])
        await asyncio.sleep(0.05)
        await answer.write(body[1_000:])
        return answer

    async def scene() -> None:
        app = web.Application()
        app.router.add_get("/status", status)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports = [{"name": "http", "containerPort": runner.addresses[0][1]}]
        running = pod("p", "u1", phase="Running", podIP="127.0.0.1") | {"spec": {"containers": [{"ports": ports}]}}
        cache, told = Cache(), asyncio.Queue[Key]()
        cache.put("Replay", replay(1))
        cache.put("Pod", running)
        poller = Poller(cache, told.put_nowait, 60)
        asking = asyncio.create_task(poller.run())
        try:
            poller.note(running)
            async with asyncio.timeout(5):
                assert await told.get() == Key("Replay", "n", "x")
            assert poller.report("pod-p") == report
        finally:
            asking.cancel()
            await runner.cleanup()

    asyncio.run(scene())


def test_a_silent_watch_is_noticed_and_an_outage_is_not_one() -> None:
    clock = Clock()
    canary = Canary("n", "me", 10.0, clock)

    def alive() -> bool:
        return canary.alive

    clock.now += 1000
    assert alive()  # nothing was taken, so nothing can come back
    canary.written(1)
    clock.now += PATIENCE * 10 - 1
    assert alive()
    clock.now += 1
    assert not alive()
    canary.echo({"spec": {"holderIdentity": "another", "leaseTransitions": 1}})
    assert not alive()
    canary.echo({"spec": {"holderIdentity": "me", "leaseTransitions": 1}})
    assert alive()
    canary.echo({"spec": {"holderIdentity": "me", "leaseTransitions": 2}})
    canary.written(2)  # its echo was faster
    clock.now += 1000
    assert alive()


def test_why_a_pod_does_not_run() -> None:
    began = "2023-11-14T22:13:20Z"  # 1_700_000_000_000
    waiting = {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}]}
    seen = see_pod("Replay", pod("p", "u", phase="Pending", **waiting), None, 0)
    assert (seen.reason, seen.problem) == ("ErrImagePull", "no such image")
    unscheduled = {
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m"}]
    }
    assert see_pod("Replay", pod("p", "u", phase="Pending", **unscheduled), None, 0).reason == "Unschedulable"
    slow = pod("p", "u", phase="Pending", startTime=began)
    early, late = (see_pod("Replay", slow, None, 1_700_000_000_000 + ms) for ms in (29_999, 30_000))
    assert (early.reason, early.recheck_at_ms) == ("", 1_700_000_030_000)
    assert (late.reason, late.recheck_at_ms) == ("NotStarting", None)
    assert late.problem == see_pod("Replay", slow, None, 1_700_000_090_000).problem  # told once, not each second
    assert see_pod("Replay", pod("p", "u", phase="Running", startTime=began), None, 0).recheck_at_ms is None
    killed = {"exitCode": 137, "reason": "OOMKilled"}
    starved = pod("p", "u", phase="Failed", containerStatuses=[{"state": {"terminated": killed}}])
    starved["spec"] = {"containers": [{"resources": {"limits": {"memory": "64Mi"}}}]}
    seen = see_pod("Replay", starved, None, 0)
    assert (seen.reason, seen.exit_code) == ("OOMKilled", 137)
    assert "its limit is 64Mi: raise spec.resources.limits.memory" in seen.problem
    ended = {"containerStatuses": [{"state": {"terminated": {"exitCode": 64, "message": '{"reason": "NoBars"}'}}}]}
    seen = see_pod("Replay", pod("p", "u", phase="Failed", **ended), None, 0)
    assert seen.exit_code == 64
    assert seen.report is not None
    assert seen.report.reason == "NoBars"


def test_drift_is_what_was_wanted_and_is_not_there() -> None:
    live = {"spec": {"a": [{"x": 1, "default": 2}], "b": 3}, "status": {}}
    assert contains(live, {"spec": {"a": [{"x": 1}]}})
    assert not contains(live, {"spec": {"a": [{"x": 2}]}})
    assert not contains(live, {"spec": {"a": []}})
    assert not contains(None, {"spec": {}})
