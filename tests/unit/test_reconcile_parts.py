"""The reconciler's parts: work queue, status throttle, cache and poller."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web

from tapedeck_crds.json import Json
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.reconcile.api import ObjectKey
from tapedeck_operator.reconcile.cache import ObjectCache
from tapedeck_operator.reconcile.deadline_heap import DeadlineHeap
from tapedeck_operator.reconcile.event_router import EventRouter
from tapedeck_operator.reconcile.pod_poller import PodPoller
from tapedeck_operator.reconcile.status_throttle import StatusThrottle, is_urgent
from tapedeck_operator.reconcile.work_queue import WorkQueue

A, B = ObjectKey("Replay", "n", "a"), ObjectKey("Replay", "n", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_queued_once_and_processed_by_one_worker() -> None:
    async def scene() -> None:
        clock = Clock()
        queue = WorkQueue(clock=clock)
        assert queue.add(A)
        assert queue.add(A)
        assert await queue.get() == A
        queue.add(A)  # while it is being processed
        queue.add(B)
        assert await queue.get() == B
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await queue.get()
        queue.done(A)
        assert await queue.get() == A
        assert queue.state() == (0, 0.0)

    asyncio.run(scene())


def test_the_earlier_time_stands_and_retries_back_off_up_to_a_minute() -> None:
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
        queue.reset_backoff(A)
        assert queue.retry(A) == 0.25

    asyncio.run(scene())


def test_keys_are_taken_when_they_are_due_by_whoever_waits() -> None:
    async def scene() -> None:
        heap = DeadlineHeap[str]()
        waiters = [asyncio.create_task(heap.pop()) for _ in range(2)]
        now = time.monotonic()
        heap.set("late", now + 60)
        heap.set("gone", now)
        heap.discard("gone")
        heap.set("moved", now + 60)
        heap.set("moved", now + 0.02)
        heap.set("late", now + 0.01)
        async with asyncio.timeout(60):
            assert sorted(await asyncio.gather(*waiters)) == ["late", "moved"]
        assert len(heap) == 0

    asyncio.run(scene())


def test_a_full_queue_rejects_new_keys_only() -> None:
    async def scene() -> None:
        queue = WorkQueue(limit=1)
        assert queue.add(A)
        assert not queue.add(B)
        assert queue.add(A)

    asyncio.run(scene())


def condition(status: str = "True", reason: str = "Running") -> Json:
    return {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": "m"}]}


def test_progress_is_throttled_and_transitions_are_not() -> None:
    throttle = StatusThrottle()
    old = {"phase": "Running", "published": 1, **condition()}
    assert throttle.reserve("u", old, {**old, "published": 2}, 1000.0) == 0
    assert throttle.reserve("u", old, {**old, "published": 3}, 1004.0) == pytest.approx(6)
    assert throttle.reserve("u", old, {**old, "phase": "Paused"}, 1004.0) == 0
    assert is_urgent(old, {**old, "observedGeneration": 2})
    assert is_urgent(old, {**old, **condition("False")})
    assert not is_urgent(old, {**old, "position": "p", "message": "other"})


def test_progress_of_all_objects_is_written_20_times_a_second() -> None:
    throttle = StatusThrottle()
    old: Json = {"published": 1}
    written = sum(throttle.reserve(f"u{i}", old, {"published": 2}, 1000.0 + i / 1000) == 0 for i in range(5000))
    assert written <= 5 * 20 + 20 + 1


def replay(version: int, uid: str = "u1", name: str = "x") -> Json:
    return {"kind": "Replay", "metadata": {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version)}}


def pod(name: str, uid: str, **status: Any) -> Json:
    labels = {"tapedeck.dev/uid": uid}
    metadata = {"name": name, "namespace": "n", "uid": f"pod-{name}", "resourceVersion": "5", "labels": labels}
    return {"metadata": metadata, "status": status}


def test_the_cache_keeps_the_newest_version_and_the_owner_of_a_pod() -> None:
    cache = ObjectCache()
    assert cache.put("Replay", replay(9))
    assert not cache.put("Replay", replay(9))
    assert not cache.put("Replay", replay(10**1 - 2))
    assert cache.put("Replay", replay(10))
    cache.put("Pod", pod("p", "u1"))
    assert cache.owner(pod("p", "u1")) == ObjectKey("Replay", "n", "x")
    assert [p["metadata"]["name"] for p in cache.pods("u1")] == ["p"]
    assert not cache.remove("Replay", replay(11, uid="another"))
    assert cache.remove("Replay", replay(11))
    assert cache.owner(pod("p", "u1")) is None


def test_the_cache_keeps_no_children_of_a_finished_resource() -> None:
    cache = ObjectCache()
    job = {"kind": "Job", **pod("j", "u1")}
    over = replay(2) | {"status": {"phase": "Complete"}}
    cache.put("Replay", replay(1))
    assert cache.put("Job", job)
    assert cache.put("Pod", pod("p", "u1"))
    assert [[d["metadata"]["name"] for d in cache.children(kind, "u1")] for kind in ("Job", "Pod")] == [["j"], ["p"]]
    assert cache.unfinished("Replay", "n") == [replay(1)]
    assert cache.put("Replay", over)
    assert (cache.list("Job"), cache.list("Pod"), cache.pods("u1"), cache.unfinished("Replay", "n")) == ([], [], [], [])
    assert not cache.put("Pod", pod("p", "u1"))
    assert cache.remove("Pod", pod("p", "u1")) is None
    assert cache.list("Replay") == [over]


def test_only_what_is_not_over_is_queued() -> None:
    def a_replay(name: str, phase: str, seen: int = 1, **spec: Any) -> Json:
        made = replay(1, uid=name, name=name)
        made["metadata"]["generation"] = 1
        return made | {"spec": spec, "status": {"phase": phase, "observedGeneration": seen}}

    documents = [
        a_replay("running", "Running"),
        a_replay("over", "Complete"),
        a_replay("failed", "Failed"),
        a_replay("changed", "Complete", seen=0),
        a_replay("expires", "Complete", ttlSecondsAfterFinished=60),
    ]

    async def scene() -> tuple[list[str], list[str]]:
        cache, queue, noticed = ObjectCache(), WorkQueue(), list[str]()
        poller = PodPoller(cache, lambda _: None, seconds=1)
        router = EventRouter(
            cache, queue, poller, enqueue=lambda key: noticed.append(key.name), on_deleted=lambda _: None
        )
        assert router.replace("Replay", documents, 1) == 5
        router.enqueue_all(spread=0.0)
        waiting = [(await queue.get()).name for _ in range(queue.state()[0])]
        return noticed, waiting

    noticed, waiting = asyncio.run(scene())
    assert noticed == ["running", "changed", "expires"]
    assert sorted(waiting) == ["changed", "expires", "running"]


def test_the_cache_finds_the_runs_that_depend_on_a_replay() -> None:
    cache = ObjectCache()
    follower = {**replay(1, uid="u2", name="follower"), "spec": {"clock": {"follow": "x"}}}
    backtest = {**replay(2, uid="u3", name="b"), "kind": "Backtest", "spec": {"data": {"replay": {"name": "x"}}}}
    cache.put("Replay", follower)
    cache.put("Backtest", backtest)
    assert cache.dependents("n", "x") == [backtest, follower]
    assert cache.dependents("other", "x") == []
    cache.put("Replay", {**replay(3, uid="u2", name="follower"), "spec": {"clock": {"follow": "y"}}})
    cache.remove("Backtest", backtest)
    assert cache.dependents("n", "x") == []


def test_a_report_in_several_packets_is_read_completely_and_kept_while_the_container_runs() -> None:
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
        cache, reported = ObjectCache(), asyncio.Queue[ObjectKey]()
        cache.put("Replay", replay(1))
        cache.put("Pod", running)
        poller = PodPoller(cache, reported.put_nowait, 60)
        polling = asyncio.create_task(poller.run())
        try:
            poller.track(running)
            async with asyncio.timeout(60):
                assert await reported.get() == ObjectKey("Replay", "n", "x")
            assert poller.reports["pod-p"] == report
            back_off = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 2, "ready": False}
            waiting = {"phase": "Running", "podIP": "127.0.0.1", "containerStatuses": [back_off]}
            poller.track(running | {"status": waiting})
            assert dict(poller.reports) == {}, "it is of the container that ended"
        finally:
            polling.cancel()
            await runner.cleanup()

    asyncio.run(scene())
