"""One level-triggered reconcile of a resource, whatever queued it: observe, plan, apply."""

from __future__ import annotations

import asyncio
import time

import structlog

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS, AnyResource
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_operator.plan import ActionFailure, Plan, Settings, plan, reasons
from tapedeck_operator.plan.observer import observe
from tapedeck_operator.reconcile.api import ObjectKey, is_deleted, key_of
from tapedeck_operator.reconcile.applier import Applier, ChildRejected, StalePlan
from tapedeck_operator.reconcile.cache import ObjectCache
from tapedeck_operator.reconcile.errors import ObjectNotFound, ResourceApiError
from tapedeck_operator.reconcile.metrics import RECONCILE_SECONDS
from tapedeck_operator.reconcile.pod_poller import PodPoller
from tapedeck_operator.reconcile.status_throttle import StatusThrottle
from tapedeck_operator.reconcile.work_queue import WorkQueue

log = structlog.get_logger()
EAGER_RECONCILE_SECONDS = 5.0  # a control that a pod accepted but does not follow is delivered again


class Reconciler:
    """Brings resources closer to their specs. A failure is retried with backoff and affects no other resource."""

    def __init__(
        self,
        cache: ObjectCache,
        queue: WorkQueue,
        poller: PodPoller,
        applier: Applier,
        settings: Settings,
        throttle: StatusThrottle,
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._poller = poller
        self._applier = applier
        self._settings = settings
        self._throttle = throttle
        self._rejected_controls: dict[str, ActionFailure] = {}  # by the uid of the resource whose pod rejects them

    def forget(self, uid: str) -> None:
        """The resource of this uid is deleted."""
        self._throttle.forget(uid)
        self._rejected_controls.pop(uid, None)

    async def work(self) -> None:
        """One worker: reconciles queued resources until cancelled."""
        while True:
            key = await self._queue.get()
            started = time.monotonic()
            try:
                result = await self._attempt(key)
            finally:
                self._queue.done(key)
            RECONCILE_SECONDS.labels(key.kind, result).observe(time.monotonic() - started)

    async def _attempt(self, key: ObjectKey) -> str:
        """Reconcile once and return the result as one word."""
        document = self._cache.get(*key)
        if document is None or is_deleted(document):
            self._queue.reset_backoff(key)
            return "gone"
        try:
            settled = await self._reconcile(key, document)
        except StalePlan as error:
            delay = self._queue.retry(key)
            log.debug("planned on outdated objects", **key._asdict(), reason=str(error), retry_seconds=delay)
            return "stale"
        except ObjectNotFound:
            return "gone"  # the watch reports the deletion
        except ResourceApiError as error:
            delay = self._queue.retry(key)
            log.warning("cannot reconcile", **key._asdict(), reason=str(error), retry_seconds=delay)
            return "error"
        except InvalidResource as error:
            return await self._reject(key, document, str(error))
        except Exception:
            delay = self._queue.retry(key)  # a bug that one resource triggers must not stop the others
            log.exception("cannot reconcile", **key._asdict(), retry_seconds=delay)
            return "error"
        if settled:
            self._queue.reset_backoff(key)
        return "ok" if settled else "failed"

    async def _reconcile(self, key: ObjectKey, document: Json) -> bool:
        """Whether everything that the plan asks for was done."""
        resource = parse_resource(document)
        planned = self._plan(resource, self._rejected_controls.get(resource.metadata.uid))
        if planned.expired:
            await self._applier.delete_expired(resource)
            return True
        failure = None
        try:
            await self._applier.apply_children(resource, planned)
        except ChildRejected as error:
            failure = error.failure
            planned = self._plan(resource, failure)
            log.warning("child not applied", **key._asdict(), reason=f"{failure.reason}: {failure.message}")
        self._enqueue_created_resources(planned)
        await self._write_status(key, resource, document, planned)
        delivered = await self._deliver_controls(key, resource, planned)
        await self._applier.write_events(resource, planned.events)
        self._poller.set_eager(self._cache.pods(resource.metadata.uid), planned.await_reports)
        self._requeue(key, planned)
        if failure is not None or not delivered:
            self._queue.retry(key)
        return failure is None and delivered

    async def _reject(self, key: ObjectKey, document: Json, reason: str) -> str:
        log.error("invalid resource", **key._asdict(), reason=reason)
        try:
            await self._applier.write_rejection(document, reason)
        except ResourceApiError as error:
            log.warning("cannot write the rejection into the status", **key._asdict(), reason=str(error))
        return "invalid"

    def _plan(self, resource: AnyResource, failure: ActionFailure | None) -> Plan:
        now_ms = time.time_ns() // 1_000_000
        observed = observe(resource, self._cache, self._poller.reports, failure, now_ms)
        return plan(resource, observed, now_ms, self._settings)

    async def _write_status(self, key: ObjectKey, resource: AnyResource, document: Json, planned: Plan) -> None:
        """Write a changed status, or queue the resource for when the throttle allows it."""
        old = document.get("status", {})
        if old == planned.status:
            return
        delay = self._throttle.reserve(resource.metadata.uid, old, planned.status, time.monotonic())
        if delay > 0:
            self._queue.add(key, delay)
            return
        await self._applier.write_status(document, planned.status)

    async def _deliver_controls(self, key: ObjectKey, resource: AnyResource, planned: Plan) -> bool:
        """Whether every pod accepted its control. The next reconcile writes a rejection into the status."""
        # All at once: a pod that does not answer must not delay a control, which is for one time, to the others.
        attempts = await asyncio.gather(*map(self._poller.deliver_control, planned.control_requests))
        failures = [failure for failure in attempts if failure is not None]
        for failure in failures:
            log.warning("control not delivered", **key._asdict(), reason=failure.message)
        rejected = next((failure for failure in failures if failure.reason == reasons.CONTROL_REJECTED), None)
        uid = resource.metadata.uid
        if rejected is not None:
            self._rejected_controls[uid] = rejected
        elif not failures and self._rejected_controls.pop(uid, None) is not None:
            self._queue.add(key)
        return not failures

    def _enqueue_created_resources(self, planned: Plan) -> None:
        """Queue children that are resources: the cache holds them already, so their watch event changes nothing."""
        for manifest in planned.apply:
            if manifest["kind"] in KINDS:
                self._queue.add(key_of(manifest["kind"], manifest))

    def _requeue(self, key: ObjectKey, planned: Plan) -> None:
        delays = [EAGER_RECONCILE_SECONDS] if planned.await_reports else []
        if planned.requeue_at_ms is not None:
            delays.append(max(planned.requeue_at_ms / 1000 - time.time(), 0.0))
        if delays:
            self._queue.add(key, min(delays))
