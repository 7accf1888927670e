"""The only writer: brings children, status, controls and events to what was planned."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import structlog

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, AnyResource
from tapedeck_operator.cluster.api import Api, ApiError, Conflict, Forbidden, Gone, Invalid
from tapedeck_operator.cluster.cache import Cache, Key, key_of
from tapedeck_operator.cluster.observe import is_owned
from tapedeck_operator.cluster.pace import merge_diff
from tapedeck_operator.plan import ActionFailure, Event, Plan, reasons

log = structlog.get_logger()
CONTROLLER = "tapedeck.dev/operator"
NOTE_MAX = 1024


class Refused(Exception):
    """A child could not be made as planned, and trying at once won't help."""

    def __init__(self, refusal: ActionFailure) -> None:
        self.refusal = refusal
        super().__init__(refusal.message)


class Stale(Exception):
    """What was planned on is no longer so: plan again."""


class Applier:
    """Writes for one resource at a time. Every method raises ApiError where the API server fails it."""

    def __init__(self, api: Api, cache: Cache, instance: str) -> None:
        self._api = api
        self._cache = cache
        self._instance = instance

    async def children(self, resource: AnyResource, wanted: Plan) -> None:
        """Children made, changed and deleted. Raises Refused, or Stale."""
        namespace = resource.metadata.namespace
        try:
            for manifest in wanted.apply:
                await self._child(resource, manifest)
            for patch in wanted.patches:
                await self._change(Key(patch.kind, namespace, patch.name), patch.spec)
            for kind, name in wanted.delete:
                await self._delete(Key(kind, namespace, name))
        except Forbidden as error:
            raise Refused(_forbidden(error, namespace)) from None
        except Invalid as error:
            raise Refused(
                ActionFailure(reasons.REJECTED, f"the API server rejects {error.resource}: {error.message}")
            ) from None

    async def status(self, resource: AnyResource, document: Json, status: Json) -> None:
        """One patch of the status subresource with what differs. Raises Stale."""
        change = merge_diff(document.get("status", {}), status)
        metadata = document["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": change}
        try:
            written = await self._api.patch(
                resource.kind, metadata["namespace"], metadata["name"], body, subresource="status"
            )
        except Conflict:
            raise Stale(f"{resource.kind} {metadata['name']} has changed") from None
        self._cache.put(resource.kind, written)

    async def reject(self, document: Json, why: str) -> None:
        """Say in the status of a document why it is not taken for a resource."""
        if document.get("status", {}).get("message") == why:
            return
        metadata = document["metadata"]
        body = {"status": {"phase": "Pending", "message": why, "observedGeneration": metadata["generation"]}}
        await self._api.patch(document["kind"], metadata["namespace"], metadata["name"], body, subresource="status")

    async def expire(self, resource: AnyResource) -> None:
        """Delete a resource whose time to live is over."""
        metadata = resource.metadata
        await self._api.delete(resource.kind, metadata.namespace, metadata.name, metadata.uid)

    async def events(self, resource: AnyResource, events: tuple[Event, ...]) -> None:
        """Tell transitions. One that can't be told is logged: the status holds the truth."""
        for event in events:
            try:
                await self._api.create(self._event(resource, event))
            except ApiError as error:
                log.warning("event not told", resource=resource.metadata.name, reason=str(error))

    async def _child(self, resource: AnyResource, manifest: Json) -> None:
        if manifest["kind"] == "Secret":  # the operator may make Secrets, not read or change them
            try:
                await self._api.create(manifest)
            except Conflict:
                return  # made by an attempt that was cut short
            return
        key = key_of(manifest["kind"], manifest)
        found = self._cache.get(key) or await self._live(key)
        if found is not None:
            self._check(resource, key, found)
            self._cache.put(key.kind, found)
            if key.kind == "Job":
                raise Stale(f"Job {key.name} is there already")
        self._cache.put(key.kind, await self._api.apply(manifest))

    def _check(self, resource: AnyResource, key: Key, found: Json) -> None:
        if found["metadata"].get("deletionTimestamp"):
            raise Stale(f"{key.kind} {key.name} is being deleted")
        if not is_owned(found, resource.metadata.uid):
            raise Refused(
                ActionFailure(
                    reasons.NAME_CONFLICT,
                    f"{key.kind} {key.name} exists and does not belong to this {resource.kind}: "
                    "delete or rename it; Tapedeck leaves it alone",
                )
            )

    async def _live(self, key: Key) -> Json | None:
        try:
            return await self._api.get(*key)
        except Gone:
            return None

    async def _change(self, key: Key, spec: Json) -> None:
        found = self._cache.get(key)
        if found is None:
            return
        body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "spec": spec}
        try:
            self._cache.put(key.kind, await self._api.patch(*key, body))
        except Conflict:
            raise Stale(f"{key.kind} {key.name} has changed") from None

    async def _delete(self, key: Key) -> None:
        found = self._cache.get(key)
        if found is not None:
            await self._api.delete(*key, found["metadata"]["uid"])

    def _event(self, resource: AnyResource, event: Event) -> Json:
        metadata = resource.metadata
        moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata.name}.{time.time_ns():x}", "namespace": metadata.namespace},
            "eventTime": moment,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "type": event.type,
            "reason": event.reason,
            "action": "Reconcile",
            "note": event.message.encode()[:NOTE_MAX].decode(errors="ignore"),
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": resource.kind,
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
            },
        }


def _forbidden(error: ApiError, namespace: str) -> ActionFailure:
    return ActionFailure(
        reasons.FORBIDDEN,
        f"the operator may not {error.verb} {error.resource} in namespace {namespace}: {error.message}",
    )
