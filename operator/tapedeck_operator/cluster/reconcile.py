"""One level-triggered pass for a resource, whatever made it due: observe, plan, apply."""

from __future__ import annotations

import time

import structlog

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_operator.cluster.api import ApiError, Gone
from tapedeck_operator.cluster.apply import Applier, Refused, Stale
from tapedeck_operator.cluster.cache import Cache, Key
from tapedeck_operator.cluster.metrics import RECONCILE_SECONDS, RECONCILES
from tapedeck_operator.cluster.observe import observe
from tapedeck_operator.cluster.pace import StatusPace
from tapedeck_operator.cluster.poll import Poller
from tapedeck_operator.cluster.queue import WorkQueue
from tapedeck_operator.plan import ActionFailure, Plan, Settings, plan
from tapedeck_operator.plan.reasons import CONTROL_REJECTED

log = structlog.get_logger()
EAGER_AGAIN = 5.0  # a control that was taken and not followed is pushed again


class Reconciler:
    """Brings resources nearer to their specs. What fails is tried again, and stops no other."""

    def __init__(self, cache: Cache, queue: WorkQueue, poller: Poller, applier: Applier, settings: Settings) -> None:
        self._cache = cache
        self._queue = queue
        self._poller = poller
        self._applier = applier
        self._settings = settings
        self._pace = StatusPace()
        self._refused: dict[str, ActionFailure] = {}  # uid → why a pod of the resource does not take its control

    def forget(self, uid: str) -> None:
        """The resource of this uid is gone."""
        self._pace.forget(uid)
        self._refused.pop(uid, None)

    async def work(self) -> None:
        """One worker: does what is due until cancelled."""
        while True:
            key = await self._queue.get()
            began = time.monotonic()
            try:
                result = await self._attempt(key)
            finally:
                self._queue.done(key)
            RECONCILES.labels(key.kind, result).inc()
            RECONCILE_SECONDS.labels(key.kind, result).observe(time.monotonic() - began)

    async def _attempt(self, key: Key) -> str:
        """A pass, and what came of it in one word."""
        document = self._cache.get(key)
        if document is None or document["metadata"].get("deletionTimestamp"):
            self._queue.forgive(key)
            return "gone"
        try:
            settled = await self._reconcile(key, document)
        except Stale as error:
            wait = self._queue.retry(key)
            log.debug("planned on what has changed", key=key, reason=str(error), again=wait)
            return "stale"
        except Gone:
            return "gone"  # the watch tells the rest
        except ApiError as error:
            wait = self._queue.retry(key)
            log.warning("cannot reconcile", key=key, reason=str(error), again=wait)
            return "error"
        except InvalidResource as error:
            return await self._reject(key, document, str(error))
        except Exception:
            wait = self._queue.retry(key)  # a bug met by one resource must not end the worker of all
            log.exception("cannot reconcile", key=key, again=wait)
            return "error"
        if settled:
            self._queue.forgive(key)
        return "ok" if settled else "refused"

    async def _reconcile(self, key: Key, document: Json) -> bool:
        resource = parse_resource(document)
        wanted = self._plan(resource, self._refused.get(resource.metadata.uid))
        if wanted.expired:
            await self._applier.expire(resource)
            return True
        refusal = None
        try:
            await self._applier.children(resource, wanted)
        except Refused as error:
            refusal = error.refusal
            wanted = self._plan(resource, refusal)
            log.warning("refused", key=key, reason=refusal.reason, message=refusal.message)
        await self._tell(key, resource, document, wanted)
        pushed = await self._push(key, resource, wanted)
        await self._applier.events(resource, wanted.events)
        self._poller.hurry(self._cache.pods(resource.metadata.uid), wanted.await_reports)
        self._come_back(key, wanted)
        if refusal is not None or not pushed:
            self._queue.retry(key)
        return refusal is None and pushed

    async def _reject(self, key: Key, document: Json, why: str) -> str:
        log.error("not a resource that this operator knows", key=key, reason=why)
        try:
            await self._applier.reject(document, why)
        except ApiError as error:
            log.warning("cannot say so in its status", key=key, reason=str(error))
        return "invalid"

    def _plan(self, resource: AnyResource, refusal: ActionFailure | None) -> Plan:
        now_ms = time.time_ns() // 1_000_000
        observed = observe(resource, self._cache, self._poller, refusal, now_ms)
        return plan(resource, observed, now_ms, self._settings)

    async def _tell(self, key: Key, resource: AnyResource, document: Json, wanted: Plan) -> None:
        """Write the status where it differs and it is its turn; progress may wait, anchors and phases never do."""
        old = document.get("status", {})
        if old == wanted.status:
            return
        wait = self._pace.wait(resource.metadata.uid, old, wanted.status, time.monotonic())
        if wait > 0:
            self._queue.add(key, wait)
            return
        await self._applier.status(resource, document, wanted.status)

    async def _push(self, key: Key, resource: AnyResource, wanted: Plan) -> bool:
        """Hand out controls; whether each was taken. The next pass says in the status what a pod refuses."""
        wrong = [refusal for push in wanted.control_requests if (refusal := await self._poller.push(push)) is not None]
        for refusal in wrong:
            log.warning("control not delivered", key=key, reason=refusal.message)
        refused = next((refusal for refusal in wrong if refusal.reason == CONTROL_REJECTED), None)
        uid = resource.metadata.uid
        if refused is not None:
            self._refused[uid] = refused
        elif not wrong and self._refused.pop(uid, None) is not None:
            self._queue.add(key)
        return not wrong

    def _come_back(self, key: Key, wanted: Plan) -> None:
        waits = [EAGER_AGAIN] if wanted.await_reports else []
        if wanted.requeue_at_ms is not None:
            waits.append(max(wanted.requeue_at_ms / 1000 - time.time(), 0.0))
        if waits:
            self._queue.add(key, min(waits))
