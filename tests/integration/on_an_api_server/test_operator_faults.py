"""The operator beside another one, and on an API server whose answers are late or wrong."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from cutting_proxy import WRONG_ANSWERS, CuttingProxy
from kube.api import KubeApi, missing_binaries
from kube.operator import PATHS, OperatorProcess, Things, rights
from tapedeck_crds.json import Json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(bool(missing_binaries()), reason="needs etcd and kube-apiserver: tests/e2e/rig/build"),
]
SPEC = {"source": {"store": {"exchange": "c", "symbols": ["A/B"]}}}
ROUNDS = int(os.environ.get("TAPEDECK_FAULTS", "1"))
WRONG_SECONDS = 60 if ROUNDS >= 20 else 6


@pytest.fixture(scope="module")
def proxy(kube: KubeApi) -> Iterator[CuttingProxy]:
    made = CuttingProxy(kube)
    made.start()
    yield made
    made.stop()


@contextmanager
def operators(kube: KubeApi, *folders: Path, url: str | None = None) -> Iterator[tuple[Things, list[OperatorProcess]]]:
    """Operators of one new namespace."""
    with kube.client() as client:
        things = Things(client)
        for document in rights(things.namespace):
            things.apply(document)
        running = []
        try:
            for folder in folders:
                folder.mkdir()
                operator = OperatorProcess(kube, things.namespace, folder, url=url)
                operator.environment["TAPEDECK_OPERATOR_RESYNC_SECONDS"] = "2"
                operator.start()
                running.append(operator)
            for operator in running:
                things.until(operator.ready, 60)
            yield things, running
        finally:
            for operator in running:
                with contextlib.suppress(ProcessLookupError):
                    operator.stop(signal.SIGKILL)
            things.clean()


def check_children(things: Things, replays: list[Json]) -> None:
    """Assert that each Replay has one Job, one Secret and one NetworkPolicy, and that no others exist."""
    uids = sorted(replay["metadata"]["uid"] for replay in replays)
    for kind in ("Job", "Secret", "NetworkPolicy"):
        items = things.must(things.client.get(PATHS[kind].format(things.namespace)))["items"]
        assert sorted(o["uid"] for item in items for o in item["metadata"]["ownerReferences"]) == uids, kind


@pytest.mark.timeout(120 * ROUNDS)
def test_wrong_answers_of_the_api_server_leave_each_resource_as_planned(
    kube: KubeApi, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """The kubelet, whose part the test takes, restarts an operator that ends."""
    for number in range(ROUNDS):
        with operators(kube, tmp_path / str(number), url=proxy.url) as (things, (operator,)):
            replays = [things.resource("Replay", "before", SPEC)]
            finished = things.wait("Job", owner=replays[0])
            proxy.answered.clear()
            proxy.wrong = random.Random(number)
            try:
                deadline = time.monotonic() + WRONG_SECONDS
                restarts = 0
                while time.monotonic() < deadline or len(proxy.answered) < len(WRONG_ANSWERS):
                    if len(replays) < 6:
                        replays.append(things.resource("Replay", f"x{len(replays)}", SPEC))
                    if len(replays) == 3:
                        things.end_job(finished, "Complete")
                    if not operator.alive():
                        operator.stop()
                        operator.start()
                        restarts += 1
                    time.sleep(0.2)
            finally:
                proxy.wrong = None
            if not operator.alive():
                operator.stop()
                operator.start()
            things.status(replays[0], lambda s: s.get("phase") == "Complete", 90)
            for replay in replays[1:]:
                things.wait("Job", owner=replay, seconds=90)
                things.status(replay, lambda s: s.get("phase") == "Pending", 90)
            things.until(lambda: operator.answer("/healthz") == (200, "ok"), 60)
            things.until(partial(_holds, things, replays), 60)
            print(f"{dict(proxy.answered)}; restarts: {restarts}")
            for line in operator.log.read_text().splitlines():
                if line.startswith("{") and json.loads(line).get("event") == "cannot reconcile":
                    assert "exception" not in json.loads(line), line


@pytest.mark.parametrize("plural", ["secrets", "jobs"])
def test_a_conflict_that_a_proxy_tells_is_no_object_that_exists(
    kube: KubeApi, proxy: CuttingProxy, tmp_path: Path, plural: str
) -> None:
    """The operator cannot read Secrets: it must not take another's 409 for one that it has created."""
    with operators(kube, tmp_path / "operator", url=proxy.url) as (things, _):
        proxy.false_conflicts = {plural}
        replay = things.resource("Replay", "told", SPEC)
        things.wait("Job", owner=replay)
        things.until(partial(_holds, things, [replay]), 60)
        assert not proxy.false_conflicts


@pytest.mark.timeout(60 + 60 * ROUNDS)
def test_two_operators_give_each_resource_one_of_each_child(kube: KubeApi, tmp_path: Path) -> None:
    """As during a rolling update that starts the new one first."""
    for number in range(ROUNDS):
        with operators(kube, tmp_path / f"{number}a", tmp_path / f"{number}b") as (things, both):
            replays = [things.resource("Replay", f"x{n}", SPEC) for n in range(8)]
            for replay in replays:
                things.wait("Job", owner=replay, seconds=60)
                things.status(replay, lambda s: s.get("phase") == "Pending", 60)
            things.end_job(things.wait("Job", owner=replays[0]), "Complete")
            things.status(replays[0], lambda s: s.get("phase") == "Complete")
            versions = [things.again(replay)["metadata"]["resourceVersion"] for replay in replays]
            time.sleep(3)  # a resync of each
            assert [things.again(replay)["metadata"]["resourceVersion"] for replay in replays] == versions
            check_children(things, replays)
            assert all(operator.alive() for operator in both)


def _holds(things: Things, replays: list[Json]) -> bool:
    with contextlib.suppress(AssertionError):
        check_children(things, replays)
        return True
    return False
