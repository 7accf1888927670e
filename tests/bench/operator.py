"""The operator beside a real API server and Job controller: how soon a Replay has its pod, and what a thousand cost.

No scheduler gives the pods a node, so that what they would do does not count. The controller is as it comes: it makes
20 calls a second at most, so the pods of a thousand Jobs come long after the Jobs.

`operator-apply-p50`, `operator-apply-p99`: from the apply of a Replay until it has its pod, one after the other, ms;
the reference of the median is the limit of 100. `operator-burst-1000`: from the first apply of a thousand at once until
each has its Job, s; the reference is a client that makes the same Jobs by as many connections, and nothing else.
`operator-patches`: PATCH calls of a Replay. `operator-rss`: memory after these, MB. `operator-rss-10000`: memory of a
new operator with 10,000 finished Replays more, MB; the reference is the limit of 400. `operator-idle-cpu`: while
nothing is applied, % of a core; the reference is the limit of 2.
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
from tapedeck_crds.json import Json

ONE_BY_ONE = 100
BURST = 1000
FINISHED = 10_000
APPLY_LIMIT_MS, MEMORY_LIMIT_MB, IDLE_LIMIT = 100.0, 400.0, 2.0
CONNECTIONS = 8
SETTLE_SECONDS = 30.0
IDLE_SECONDS = 300.0  # a whole period: everything is read and looked at once in it
PODS_SECONDS = 600.0
ADDED_LABELS = ("controller-uid", "job-name")  # by the API server
SPEC = {"source": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}}


def run() -> list[Figure]:
    """All figures, with an API server of their own. Raises RuntimeError where the rig's programs are missing."""
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
    bare = _bare_burst(things)
    kept = _memory_with_finished(things, operator)
    p50 = statistics.median(waits)
    return [
        Figure("operator-apply-p50", p50, "ms", APPLY_LIMIT_MS, p50 / APPLY_LIMIT_MS),
        Figure("operator-apply-p99", waits[int(len(waits) * 0.99)], "ms"),
        Figure("operator-burst-1000", burst, "s", bare, burst / bare),
        Figure("operator-patches", patches / (ONE_BY_ONE + BURST), "/object"),
        Figure("operator-rss", memory, "MB"),
        Figure("operator-rss-10000", kept, "MB", MEMORY_LIMIT_MB, kept / MEMORY_LIMIT_MB),
        Figure("operator-idle-cpu", busy, "%", IDLE_LIMIT, busy / IDLE_LIMIT),
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
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda number: things.resource("Replay", f"burst-{number}", SPEC), range(BURST)))
    path = PATHS["Job"].format(things.namespace)
    while _count(things, path) < ONE_BY_ONE + BURST:
        if time.perf_counter() - began > 300:
            raise RuntimeError(f"{_count(things, path)} Jobs after 300 s")
        time.sleep(0.25)
    return time.perf_counter() - began


def _bare_burst(things: Things) -> float:
    """Seconds in which a client makes the Jobs of the burst again, in a namespace of their own."""
    found = things.must(things.client.get(PATHS["Job"].format(things.namespace)))["items"]
    other = Things(things.client)
    bodies = [_new_job(job) for job in found if job["metadata"]["name"].startswith("replay-burst-")]
    path = PATHS["Job"].format(other.namespace)
    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda body: other.must(other.client.post(path, json=body)), bodies))
    took = time.perf_counter() - began
    if _count(other, path) != BURST:
        raise RuntimeError(f"made {_count(other, path)} Jobs, expected {BURST}")
    other.client.delete(path, params={"propagationPolicy": "Background"})
    return took


def _new_job(job: Json) -> Json:
    """The Job as it was made: without what the API server adds."""
    metadata = {key: job["metadata"][key] for key in ("name", "labels", "annotations") if key in job["metadata"]}
    spec = {key: value for key, value in job["spec"].items() if key != "selector"}
    labels = {k: v for k, v in spec["template"]["metadata"]["labels"].items() if not k.endswith(ADDED_LABELS)}
    template = spec["template"] | {"metadata": spec["template"]["metadata"] | {"labels": labels}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec | {"template": template}}


def _memory_with_finished(things: Things, operator: OperatorProcess) -> float:
    """MB of a new operator that finds 10,000 finished Replays besides what is there."""
    status = things.must(things.client.get(f"{PATHS['Replay'].format(things.namespace)}/one-0"))["status"]
    ended = status | {"phase": "Complete", "observedGeneration": 1}

    def finish(number: int) -> None:
        made = things.resource("Replay", f"finished-{number}", SPEC)
        things.patch(made, {"status": ended}, subresource="/status")

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(finish, range(FINISHED)))
    operator.start()
    try:
        things.until(operator.ready, 60)
        time.sleep(SETTLE_SECONDS)
        things.until(lambda: _metric(operator, "tapedeck_operator_queue_depth") == 0, 60)
        return psutil.Process(operator.pid).memory_info().rss / 1e6
    finally:
        operator.stop()


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
