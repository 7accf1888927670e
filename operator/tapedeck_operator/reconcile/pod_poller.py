"""Polls running pods for their reports, and delivers controls to them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import aiohttp

from tapedeck_crds.json import Json
from tapedeck_crds.report import Report
from tapedeck_operator.plan import ActionFailure, ControlRequest, reasons
from tapedeck_operator.plan.observer import parse_report, pod_url
from tapedeck_operator.reconcile.api import ObjectKey, key_of
from tapedeck_operator.reconcile.cache import ObjectCache
from tapedeck_operator.reconcile.deadline_heap import DeadlineHeap
from tapedeck_operator.reconcile.metrics import POLLS

EAGER_SECONDS = 0.25
POLLS_PER_SECOND = 200.0
CONCURRENT_POLLS = 32
TIMEOUT = aiohttp.ClientTimeout(total=2.0)
REPORT_LIMIT_BYTES = 65_536


class PodPoller:
    """Polls the /status of each running pod every ``seconds``, with jitter.

    ``on_report`` is called with the key of the resource whose pod has a new report.
    """

    def __init__(self, cache: ObjectCache, on_report: Callable[[ObjectKey], None], seconds: float) -> None:
        self._cache = cache
        self._on_report = on_report
        self._seconds = seconds
        self._bodies: dict[str, bytes] = {}
        self._reports: dict[str, Report] = {}
        self._pods: dict[str, ObjectKey] = {}  # those to poll, by uid
        self._due = DeadlineHeap[str]()
        self._eager: set[str] = set()
        self._slots = asyncio.Semaphore(CONCURRENT_POLLS)

    @property
    def reports(self) -> Mapping[str, Report]:
        """The last report of each running pod, by the pod's uid."""
        return MappingProxyType(self._reports)

    def track(self, pod: Json) -> None:
        """A pod changed: poll it at once when it becomes ready, and no more once it has ended."""
        uid = pod["metadata"]["uid"]
        if pod_url(pod) is None:
            self.forget(uid)
        elif uid not in self._pods or (_is_ready(pod) and uid not in self._bodies):
            self._schedule(uid, key_of("Pod", pod), 0.0)

    def forget(self, uid: str) -> None:
        """The pod of this uid has ended or was deleted."""
        self._pods.pop(uid, None)
        self._due.discard(uid)
        self._bodies.pop(uid, None)
        self._reports.pop(uid, None)
        self._eager.discard(uid)

    def set_eager(self, pods: Iterable[Json], eager: bool) -> None:
        """Poll these pods at least four times a second while ``eager``."""
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if not eager or pod_url(pod) is None:
                self._eager.discard(uid)
            elif uid not in self._eager:
                self._eager.add(uid)
                self._schedule(uid, key_of("Pod", pod), min(EAGER_SECONDS / 4, self._seconds))

    async def deliver_control(self, control: ControlRequest) -> ActionFailure | None:
        """Post a control to its pod; returns why the pod did not accept it, None where it did."""
        headers = {"x-tapedeck-signature": control.signature, "content-type": "application/json"}
        try:
            async with self._session.post(control.url, data=control.body, headers=headers) as answer:
                if answer.status < 400:
                    return None
                message = f"pod {control.pod} rejects its control: {answer.status} {(await answer.text())[:300]}"
                return ActionFailure(reasons.CONTROL_REJECTED, message)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"pod {control.pod} does not answer: {type(error).__name__}: {error}"
            return ActionFailure(reasons.UNREACHABLE, message)

    async def run(self) -> None:
        """Poll until cancelled."""
        connector = aiohttp.TCPConnector(limit=CONCURRENT_POLLS * 2, keepalive_timeout=30)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=False) as self._session,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                uid = await self._due.pop()
                await self._slots.acquire()
                tasks.create_task(self._poll(uid))
                await asyncio.sleep(1 / POLLS_PER_SECOND)

    def _schedule(self, uid: str, key: ObjectKey, delay: float) -> None:
        self._pods[uid] = key
        self._due.set(uid, time.monotonic() + delay)

    async def _poll(self, uid: str) -> None:
        try:
            key = self._pods.get(uid)
            if key is None:
                return  # it ended while all slots were taken
            pod = self._cache.get(*key)
            url = pod_url(pod) if pod is not None and pod["metadata"]["uid"] == uid else None
            if pod is None or url is None:
                self.forget(uid)
                return
            body = await self._get_status(url)
            if uid not in self._pods:
                return  # it ended during the request
            self._schedule(uid, key, self._interval(uid))
            owner = self._cache.owner(pod)
            if body is None or owner is None or body == self._bodies.get(uid):
                return
            self._bodies[uid] = body
            report = parse_report(owner.kind, body)
            if report is not None:
                self._reports[uid] = report
                self._on_report(owner)
        finally:
            self._slots.release()

    def _interval(self, uid: str) -> float:
        jittered = self._seconds * random.uniform(0.8, 1.2)
        return min(EAGER_SECONDS, jittered) if uid in self._eager else jittered

    async def _get_status(self, url: str) -> bytes | None:
        try:
            async with self._session.get(f"{url}/status") as answer:
                body = await _read_body(answer.content)
                POLLS.labels(str(answer.status)).inc()
                return body if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            POLLS.labels("none").inc()
            return None  # it starts or ends: its Pod object says which


async def _read_body(body: aiohttp.StreamReader) -> bytes:
    """The whole body up to the limit, however many packets it takes."""
    try:
        return await body.readexactly(REPORT_LIMIT_BYTES)
    except asyncio.IncompleteReadError as end:
        return end.partial


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
