"""The operator killed at each of its calls in turn, before and after the API server did it; and left without news."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cutting_proxy import CuttingProxy
from kube.api import KubeApi, install_crds, missing_binaries
from kube.operator import CRDS, PATHS, OperatorProcess, Things, rights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_binaries()), reason="needs etcd and kube-apiserver: tests/e2e/rig/build"),
]
STORE = {"exchange": "c", "symbols": ["A/B"]}
CALLS = 7  # two look-ups, NetworkPolicy, Secret, Job, status, event


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    api = KubeApi(tmp_path_factory.mktemp("kube"))
    try:
        api.start()
        with api.client() as client:
            install_crds(client, CRDS)
        yield api
    finally:
        api.stop()


@pytest.fixture(scope="module")
def proxy(kube: KubeApi) -> Iterator[CuttingProxy]:
    made = CuttingProxy(kube)
    made.start()
    yield made
    made.stop()


# Before a call is the same as after the one before it: nothing is remembered but on the API server.
@pytest.mark.parametrize(("number", "after"), [(1, False), *((n, True) for n in range(1, CALLS + 2))])
def test_a_crash_leaves_no_duplicate_and_no_orphan(
    kube: KubeApi, proxy: CuttingProxy, tmp_path: Path, number: int, after: bool
) -> None:
    with kube.client() as client:
        things = Things(client)
        for document in rights(things.namespace):
            things.apply(document)
        operator = OperatorProcess(kube, things.namespace, tmp_path, url=proxy.url)
        operator.start()
        try:
            things.until(operator.ready, 20)
            pid = operator.pid
            proxy.arm(number if number <= CALLS else 0, after, lambda: os.kill(pid, signal.SIGKILL))
            made = things.resource("Replay", "x", {"source": {"store": STORE}})
            if number > CALLS:
                things.status(made, lambda s: s.get("phase") == "Pending")
                things.until(lambda: len(proxy.calls) >= CALLS, 5)
                assert operator.alive()
                # Each of them was cut above; a busy machine may see one more status.
                assert CALLS <= len(proxy.calls) <= CALLS + 2, proxy.calls
            else:
                things.until(lambda: not operator.alive(), 10)
                assert operator.stop() == -signal.SIGKILL
                proxy.arm(0, False, lambda: None)
                operator.start()
            things.wait("Job", owner=made)
            status = things.status(made, lambda s: s.get("phase") == "Pending")
            assert status["observedGeneration"] == 1
            for kind in ("Job", "Secret", "NetworkPolicy"):
                items = things.must(client.get(PATHS[kind].format(things.namespace)))["items"]
                owners = [o["uid"] for item in items for o in item["metadata"]["ownerReferences"]]
                assert owners == [made["metadata"]["uid"]], kind
        finally:
            with contextlib.suppress(ProcessLookupError):
                operator.stop(signal.SIGKILL)
            things.clean()


def test_a_watch_that_went_silent_shows(kube: KubeApi, proxy: CuttingProxy, tmp_path: Path) -> None:
    with kube.client() as client:
        things = Things(client)
        for document in rights(things.namespace):
            things.apply(document)
        operator = OperatorProcess(kube, things.namespace, tmp_path, url=proxy.url)
        operator.environment["TAPEDECK_OPERATOR_CANARY_SECONDS"] = "0.5"
        operator.start()
        try:
            things.until(operator.ready, 20)
            things.wait("Job", owner=things.resource("Replay", "x", {"source": {"store": STORE}}))
            assert operator.answer("/healthz") == 200
            proxy.muted = True
            things.until(lambda: operator.answer("/healthz") == 503, 10)
            proxy.muted = False
            things.until(lambda: operator.answer("/healthz") == 200, 10)
        finally:
            proxy.muted = False
            operator.stop()
            things.clean()
