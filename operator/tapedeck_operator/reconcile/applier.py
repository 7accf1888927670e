"""Writes what a plan asks for: children, status and events of one resource."""

from __future__ import annotations

import structlog

from tapedeck_crds.errors import Conflict, TapedeckError
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource
from tapedeck_crds.resource import is_finished
from tapedeck_operator.plan import ActionFailure, Event, Plan, reasons
from tapedeck_operator.plan.observer import is_owned
from tapedeck_operator.reconcile.api import ObjectKey, ResourceApi, is_deleted, key_of
from tapedeck_operator.reconcile.cache import ObjectCache
from tapedeck_operator.reconcile.errors import (
    AccessDenied,
    ManifestRejected,
    ObjectConflict,
    ObjectExists,
    ObjectNotFound,
    ResourceApiError,
)

log = structlog.get_logger()


class ChildRejected(TapedeckError):
    """A child could not be applied as planned, and an immediate retry would not help."""

    def __init__(self, failure: ActionFailure) -> None:
        self.failure = failure
        super().__init__(failure.message)


class StalePlan(Conflict):
    """The objects that the plan is based on have changed: plan again."""


class Applier:
    """Every method raises ResourceApiError where the API fails the call."""

    def __init__(self, api: ResourceApi, cache: ObjectCache) -> None:
        self._api = api
        self._cache = cache

    async def apply_children(self, resource: AnyResource, plan: Plan) -> None:
        """Create, change and delete children. Raises ChildRejected or StalePlan."""
        namespace = resource.metadata.namespace
        try:
            for manifest in plan.apply:
                await self._apply_child(resource, manifest)
            for patch in plan.patches:
                await self._patch_child(ObjectKey(patch.kind, namespace, patch.name), patch.spec)
            for kind, name in plan.delete:
                await self._delete_child(ObjectKey(kind, namespace, name))
        except AccessDenied as error:
            message = f"the operator may not {error.verb} {error.resource} in namespace {namespace}: {error.detail}"
            raise ChildRejected(ActionFailure(reasons.FORBIDDEN, message)) from None
        except ManifestRejected as error:
            message = f"the API server rejects {error.resource}: {error.detail}"
            raise ChildRejected(ActionFailure(reasons.REJECTED, message)) from None

    async def write_status(self, document: Json, status: Json) -> None:
        """Replace the status of a resource. Raises StalePlan."""
        try:
            written = await self._api.write_status(document, status)
        except ObjectConflict as error:
            raise StalePlan(str(error)) from None
        self._cache.put(document["kind"], written)

    async def write_rejection(self, document: Json, reason: str) -> None:
        """Write into the status why a document is not a valid resource. A finished one keeps its phase."""
        status = document.get("status") or {}
        if status.get("message") == reason:
            return
        rejected: Json = {"message": reason, "observedGeneration": document["metadata"]["generation"]}
        if not is_finished(document):
            rejected["phase"] = "Pending"
        await self._api.write_status(document, status | rejected)

    async def delete_expired(self, resource: AnyResource) -> None:
        """Delete a finished resource after its ttlSecondsAfterFinished."""
        metadata = resource.metadata
        await self._api.delete(ObjectKey(resource.kind, metadata.namespace, metadata.name), metadata.uid)

    async def write_events(self, resource: AnyResource, events: tuple[Event, ...]) -> None:
        """Record transitions. A failed call is only logged: the status holds the same information."""
        metadata = resource.metadata
        key = ObjectKey(resource.kind, metadata.namespace, metadata.name)
        for event in events:
            try:
                await self._api.write_event(resource, event)
            except ResourceApiError as error:
                log.warning("event not written", **key._asdict(), reason=str(error))

    async def _apply_child(self, resource: AnyResource, manifest: Json) -> None:
        if manifest["kind"] == "Secret":  # the operator may create Secrets, but neither read nor change them
            try:
                await self._api.create(manifest)
            except ObjectExists:
                return  # created by an earlier, interrupted attempt
            return
        key = key_of(manifest["kind"], manifest)
        if key.kind == "Job":
            await self._create_job(resource, key, manifest)
            return
        existing = self._cache.get(*key) or await self._read(key)
        if existing is not None:
            _check_owner(resource, key, existing)
            self._cache.put(key.kind, existing)
        self._cache.put(key.kind, await self._api.apply(manifest))

    async def _create_job(self, resource: AnyResource, key: ObjectKey, manifest: Json) -> None:
        """Create a Job, which is never applied again, in one call: its pods wait for it."""
        existing = self._cache.get(*key)
        if existing is None:
            try:
                self._cache.put(key.kind, await self._api.create(manifest))
            except ObjectExists:
                existing = await self._read(key)
            else:
                return
        if existing is not None:
            _check_owner(resource, key, existing)
            self._cache.put(key.kind, existing)
        raise StalePlan(f"Job {key.name} exists already")

    async def _read(self, key: ObjectKey) -> Json | None:
        try:
            return await self._api.get(key)
        except ObjectNotFound:
            return None

    async def _patch_child(self, key: ObjectKey, spec: Json) -> None:
        existing = self._cache.get(*key)
        if existing is None:
            return
        try:
            patched = await self._api.patch_spec(key, spec, existing["metadata"]["resourceVersion"])
        except ObjectConflict:
            raise StalePlan(f"{key.kind} {key.name} has changed") from None
        self._cache.put(key.kind, patched)

    async def _delete_child(self, key: ObjectKey) -> None:
        existing = self._cache.get(*key)
        if existing is not None:
            await self._api.delete(key, existing["metadata"]["uid"])


def _check_owner(resource: AnyResource, key: ObjectKey, existing: Json) -> None:
    if is_deleted(existing):
        raise StalePlan(f"{key.kind} {key.name} is being deleted")
    if not is_owned(existing, resource.metadata.uid):
        message = (
            f"{key.kind} {key.name} exists and does not belong to this {resource.kind}: "
            "delete or rename it; Tapedeck does not change it"
        )
        raise ChildRejected(ActionFailure(reasons.NAME_CONFLICT, message))
