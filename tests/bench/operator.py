"""The operator beside a real API server and Job controller: how soon a Replay has its pod, and what a thousand cost.

No scheduler gives the pods a node, so that what they would do does not count. The controller is as it comes: it makes
20 calls a second at most, so the pods of a thousand Jobs come long after the Jobs.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil

from bench.figures import Figure
from kube.api import KubeApi, install_crds, missing_binaries
from kube.operator import CRDS, PATHS, OperatorProcess, Things, rights

ONE_BY_ONE = 100
BURST = 1000
IDLE_SECONDS = 300.0  # a whole period: everything is read and looked at once in it
PODS_SECONDS = 600.0
SPEC = {"source": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}}


def run() -> list[Figure]:
    """apply → pod one by one, apply → Job in a burst, memory after it, and CPU while nothing is applied."""
    if missing := missing_binaries("kube-controller-manager"):
        raise RuntimeError(f"needs {', '.join(missing)}: tests/e2e/rig/build")
    with tempfile.TemporaryDirectory() as folder:
        api = KubeApi(Path(folder))
        try:
            api.start()
            with api.client() as client:
                install_crds(client, CRDS)
                api.start_controllers()
                return _measure(api, Things(client), Path(folder))
        finally:
            api.stop()


def _measure(api: KubeApi, things: Things, folder: Path) -> list[Figure]:
    for document in rights(things.namespace):
        things.apply(document)
    operator = OperatorProcess(api, things.namespace, folder, fresh=True)
    operator.start()
    try:
        things.until(operator.ready, 30)
        waits = sorted(_apply_one(things, number) for number in range(ONE_BY_ONE))
        burst = _burst(things)
        things.until(lambda: _count(things, PATHS["Pod"].format(things.namespace)) >= ONE_BY_ONE + BURST, PODS_SECONDS)
        things.until(lambda: _metric(operator, "tapedeck_operator_queue_depth") == 0, 60)
        patches = _patches(operator)
        process = psutil.Process(operator.pid)
        memory = process.memory_info().rss / 1e6
        before = process.cpu_times()
        time.sleep(IDLE_SECONDS)
        after = process.cpu_times()
        busy = (after.user + after.system - before.user - before.system) / IDLE_SECONDS * 100
    finally:
        operator.stop()
    return [
        Figure("operator-apply-p50", statistics.median(waits), "ms"),
        Figure("operator-apply-p99", waits[int(len(waits) * 0.99)], "ms"),
        Figure("operator-burst-1000", burst, "s"),
        Figure("operator-patches", patches / (ONE_BY_ONE + BURST), "/object"),
        Figure("operator-rss", memory, "MB"),
        Figure("operator-idle-cpu", busy, "%"),
    ]


def _apply_one(things: Things, number: int) -> float:
    began = time.perf_counter()
    made = things.resource("Replay", f"one-{number}", SPEC)
    path = PATHS["Pod"].format(things.namespace)
    selector = {"labelSelector": f"tapedeck.dev/uid={made['metadata']['uid']}"}
    while not things.must(things.client.get(path, params=selector))["items"]:
        if time.perf_counter() - began > 30:
            raise RuntimeError("no pod after 30 s")
        time.sleep(0.002)
    return (time.perf_counter() - began) * 1000


def _burst(things: Things) -> float:
    """Seconds from the first apply until each of a thousand has its Job."""
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: things.resource("Replay", f"burst-{number}", SPEC), range(BURST)))
    path = f"/apis/batch/v1/namespaces/{things.namespace}/jobs"
    while _count(things, path) < ONE_BY_ONE + BURST:
        if time.perf_counter() - began > 300:
            raise RuntimeError(f"{_count(things, path)} Jobs after 300 s")
        time.sleep(0.25)
    return time.perf_counter() - began


def _count(things: Things, path: str) -> int:
    head = things.must(things.client.get(path, params={"limit": 1}))
    return len(head["items"]) + int(head["metadata"].get("remainingItemCount", 0))


def _patches(operator: OperatorProcess) -> float:
    """All PATCH calls but those of the watch probe."""
    text = httpx.get(f"{operator.url()}/metrics", timeout=10, trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("tapedeck_operator_api_calls_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'verb="patch"' in line and '"leases"' not in line)


def _metric(operator: OperatorProcess, name: str) -> float:
    text = httpx.get(f"{operator.url()}/metrics", timeout=10, trust_env=False).text
    return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)
