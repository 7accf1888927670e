"""The operator killed before and after each of its calls, and the operator with silent watches."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cutting_proxy import CuttingProxy
from kube.api import KubeApi, missing_binaries
from kube.operator import PATHS, OperatorProcess, Things, rights
from tapedeck_crds.json import Json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_binaries()), reason="needs etcd and kube-apiserver: tests/e2e/rig/build"),
]
STORE = {"exchange": "c", "symbols": ["A/B"]}
CALLS = 6  # a read, NetworkPolicy, Secret, Job, status, event
LIVE_CALLS = 12  # five reads, two NetworkPolicies, three Deployments, status, event
FULL = int(os.environ.get("TAPEDECK_FAULTS", "3")) >= 20


@pytest.fixture(scope="module")
def proxy(kube: KubeApi) -> Iterator[CuttingProxy]:
    made = CuttingProxy(kube)
    made.start()
    yield made
    made.stop()


# A kill before a call equals one after the call before it: all state is on the API server.
@pytest.mark.parametrize(("number", "after"), [(1, False), *((n, True) for n in range(1, CALLS + 2))])
def test_a_crash_leaves_neither_duplicates_nor_orphans(
    kube: KubeApi, proxy: CuttingProxy, tmp_path: Path, number: int, after: bool
) -> None:
    made = {"Job": 1, "Secret": 1, "NetworkPolicy": 1}
    survive(kube, proxy, tmp_path, "Replay", {"source": {"store": STORE}}, made, CALLS, number, after)


@pytest.mark.faults
@pytest.mark.parametrize("number", [n for n in range(1, LIVE_CALLS + 2) if FULL or n % 5 == 0])
def test_a_crash_leaves_one_deployment_for_each_shard(
    kube: KubeApi, proxy: CuttingProxy, tmp_path: Path, number: int
) -> None:
    spec = {"exchange": "binance", "symbols": ["A/B", "C/D"], "shards": 2, "transforms": [{"name": "mean", "sma": {}}]}
    made = {"Job": 0, "Deployment": 3, "NetworkPolicy": 2}
    survive(kube, proxy, tmp_path, "Feed", spec, made, LIVE_CALLS, number, after=True)


def survive(
    kube: KubeApi,
    proxy: CuttingProxy,
    folder: Path,
    kind: str,
    spec: Json,
    children: dict[str, int],
    calls: int,
    number: int,
    after: bool,
) -> None:
    """Kill the operator at a call for a new resource and restart it; after the last call, check that none follows."""
    with kube.client() as client:
        things = Things(client)
        for document in rights(things.namespace):
            things.apply(document)
        operator = OperatorProcess(kube, things.namespace, folder, url=proxy.url)
        operator.start()

        def owners(of: str) -> list[str]:
            items = things.must(client.get(PATHS[of].format(things.namespace)))["items"]
            return [o["uid"] for item in items for o in item["metadata"]["ownerReferences"]]

        try:
            things.until(operator.ready, 60)
            pid = operator.pid
            proxy.arm(number if number <= calls else 0, after, lambda: os.kill(pid, signal.SIGKILL))
            made = things.resource(kind, "x", spec)
            uid = made["metadata"]["uid"]
            if number > calls:
                things.status(made, lambda s: s.get("phase") == "Pending")
                things.until(lambda: len(set(proxy.calls)) >= calls, 60)
                assert operator.alive()
                # Each was cut above; on a busy machine some are made again, before their results are seen.
                assert len(set(proxy.calls)) == calls, proxy.calls
            else:
                things.until(lambda: not operator.alive(), 30)
                assert operator.stop() == -signal.SIGKILL
                proxy.arm(0, False, lambda: None)
                operator.start()
            things.until(lambda: all(len(owners(of)) >= count for of, count in children.items()), 60)
            status = things.status(made, lambda s: s.get("phase") == "Pending")
            assert status["observedGeneration"] == 1
            for of, count in children.items():
                assert owners(of) == [uid] * count, of
        finally:
            with contextlib.suppress(ProcessLookupError):
                operator.stop(signal.SIGKILL)
            things.clean()


@pytest.fixture
def watching(kube: KubeApi, proxy: CuttingProxy, tmp_path: Path) -> Iterator[tuple[Things, OperatorProcess]]:
    """An operator whose watches last 2 s: a silent one is cut after 3 s, and its kind is silent after 5.5 s."""
    with kube.client() as client:
        things = Things(client)
        for document in rights(things.namespace):
            things.apply(document)
        operator = OperatorProcess(kube, things.namespace, tmp_path, url=proxy.url)
        operator.environment |= {"TAPEDECK_OPERATOR_PROBE_SECONDS": "0.5", "TAPEDECK_OPERATOR_WATCH_SECONDS": "2"}
        operator.start()
        try:
            things.until(operator.ready, 60)
            things.wait("Job", owner=things.resource("Replay", "x", {"source": {"store": STORE}}))
            assert operator.answer("/healthz") == (200, "ok")
            yield things, operator
        finally:
            proxy.muted = ()
            operator.stop()
            things.clean()


@pytest.mark.parametrize(("plural", "kind"), [("leases", "Lease"), ("replays", "Replay"), ("pods", "Pod")])
def test_a_silent_watch_fails_the_health_check(
    proxy: CuttingProxy, watching: tuple[Things, OperatorProcess], plural: str, kind: str
) -> None:
    things, operator = watching
    proxy.muted = (plural,)
    made = things.resource("Replay", "y", {"source": {"store": STORE}})
    things.until(lambda: operator.answer("/healthz") == (503, f"the watch is silent for {kind}"), 40)
    proxy.muted = ()
    things.until(lambda: operator.answer("/healthz") == (200, "ok"), 30)
    things.wait("Job", owner=made)


def test_a_silent_watch_is_restarted(proxy: CuttingProxy, watching: tuple[Things, OperatorProcess]) -> None:
    things, operator = watching
    before = proxy.held
    proxy.muted = ("replays",)
    made = things.resource("Replay", "y", {"source": {"store": STORE}})
    things.until(lambda: proxy.held > before, 20)
    proxy.muted = ()
    things.wait("Job", owner=made, seconds=30)
    assert operator.answer("/healthz") == (200, "ok")
    logged = [line for line in operator.log.read_text().splitlines() if "did not end in time" in line]
    assert any('"Replay"' in line for line in logged)  # on a busy machine other watches may end late, too
