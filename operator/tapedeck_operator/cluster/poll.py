"""Asking running pods how they do, and handing them controls."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Callable

import aiohttp
import structlog

from tapedeck_crds.json import Json
from tapedeck_crds.report import BacktestReport, FeedReport, ReplayReport, Report
from tapedeck_operator.cluster.cache import Cache, Key, key_of
from tapedeck_operator.cluster.metrics import POLLS
from tapedeck_operator.plan import ActionFailure, ControlRequest, reasons

log = structlog.get_logger()

REPORTS: dict[str, type[Report]] = {"Feed": FeedReport, "Replay": ReplayReport, "Backtest": BacktestReport}
EAGER_SECONDS = 0.25
PER_SECOND = 200.0
AT_ONCE = 32
TIMEOUT = aiohttp.ClientTimeout(total=2.0)
REPORT_LIMIT = 65_536


class Poller:
    """Each running pod's /status every few seconds, jittered; ``told`` hears whose report changed."""

    def __init__(self, cache: Cache, told: Callable[[Key], None], seconds: float) -> None:
        self._cache = cache
        self._told = told
        self._seconds = seconds
        self._said: dict[str, bytes] = {}
        self._reports: dict[str, Report] = {}
        self._due: dict[str, tuple[float, Key]] = {}
        self._heap: list[tuple[float, str]] = []
        self._eager: set[str] = set()
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def report(self, uid: str) -> Report | None:
        """What the pod of this uid last said."""
        return self._reports.get(uid)

    def note(self, pod: Json) -> None:
        """A pod was seen: ask it at once when it has just got ready, and no more when it is over."""
        uid = pod["metadata"]["uid"]
        if pod_url(pod) is None:
            self.forget(uid)
        elif uid not in self._due or (is_ready(pod) and uid not in self._said):
            self._schedule(uid, key_of("Pod", pod), 0.0)

    def forget(self, uid: str) -> None:
        """The pod is over or gone."""
        self._due.pop(uid, None)
        self._said.pop(uid, None)
        self._reports.pop(uid, None)
        self._eager.discard(uid)

    def hurry(self, pods: list[Json], eager: bool) -> None:
        """Ask these pods four times a second while ``eager``."""
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if not eager or pod_url(pod) is None:
                self._eager.discard(uid)
            elif uid not in self._eager:
                self._eager.add(uid)
                self._schedule(uid, key_of("Pod", pod), EAGER_SECONDS / 4)

    async def push(self, push: ControlRequest) -> ActionFailure | None:
        """Hand a control to its pod; returns why it was not taken, None where it was."""
        headers = {"x-tapedeck-signature": push.signature, "content-type": "application/json"}
        try:
            async with self._session.post(push.url, data=push.body, headers=headers) as answer:
                if answer.status < 400:
                    return None
                said = f"pod {push.pod} refuses its control: {answer.status} {(await answer.text())[:300]}"
                return ActionFailure(reasons.CONTROL_REJECTED, said)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return ActionFailure(
                reasons.UNREACHABLE, f"pod {push.pod} does not answer: {type(error).__name__}: {error}"
            )

    async def run(self) -> None:
        """Ask until cancelled."""
        connector = aiohttp.TCPConnector(limit=AT_ONCE * 2, keepalive_timeout=30)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=False) as self._session,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                uid, key = await self._next()
                await self._slots.acquire()
                tasks.create_task(self._ask(uid, key))
                await asyncio.sleep(1 / PER_SECOND)

    def _schedule(self, uid: str, key: Key, delay: float) -> None:
        at = time.monotonic() + delay
        self._due[uid] = (at, key)
        heapq.heappush(self._heap, (at, uid))
        self._changed.set()

    async def _next(self) -> tuple[str, Key]:
        while True:
            wait = None
            while self._heap and wait is None:
                at, uid = self._heap[0]
                known = self._due.get(uid)
                if known is None or known[0] != at:
                    heapq.heappop(self._heap)
                elif at <= time.monotonic():
                    heapq.heappop(self._heap)
                    return uid, known[1]
                else:
                    wait = at - time.monotonic()
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _ask(self, uid: str, key: Key) -> None:
        try:
            pod = self._cache.get(key)
            url = pod_url(pod) if pod is not None and pod["metadata"]["uid"] == uid else None
            if pod is None or url is None:
                self.forget(uid)
                return
            said = await self._status(url)
            if uid not in self._due:
                return  # it went while it was asked
            self._schedule(uid, key, EAGER_SECONDS if uid in self._eager else self._seconds * random.uniform(0.8, 1.2))
            owner = self._cache.owner(pod)
            if said is None or owner is None or said == self._said.get(uid):
                return
            self._said[uid] = said
            report = parse_report(owner.kind, said)
            if report is not None:
                self._reports[uid] = report
                self._told(owner)
        finally:
            self._slots.release()

    async def _status(self, url: str) -> bytes | None:
        try:
            async with self._session.get(f"{url}/status") as answer:
                said = await _whole(answer.content)
                POLLS.labels(str(answer.status)).inc()
                return said if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            POLLS.labels("none").inc()
            return None  # it starts or ends; its object tells


async def _whole(body: aiohttp.StreamReader) -> bytes:
    """All of a body, up to the limit, however many packets it takes."""
    try:
        return await body.readexactly(REPORT_LIMIT)
    except asyncio.IncompleteReadError as end:
        return end.partial


def parse_report(kind: str, said: str | bytes) -> Report | None:
    """A report as the pods of a kind write it; None for anything else, such as a crash before the first."""
    try:
        return REPORTS[kind].model_validate_json(said)
    except ValueError:
        return None


def pod_url(pod: Json) -> str | None:
    """Where a running pod serves its probes; None before and after."""
    status = pod.get("status", {})
    address = status.get("podIP")
    if status.get("phase") != "Running" or not address or pod["metadata"].get("deletionTimestamp"):
        return None
    ports = pod["spec"]["containers"][0].get("ports") or []
    number = next((port["containerPort"] for port in ports if port.get("name") == "http"), None)
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{number}" if number is not None else None


def is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
