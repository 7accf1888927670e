"""The deck's store as a ResourceApi, for the same reconciler that a cluster runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS, AnyResource
from tapedeck_crds.parse import InvalidResource
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Change, Objects
from tapedeck_deck.embedded.pods import kubernetes_pod
from tapedeck_operator.plan import Event
from tapedeck_operator.plan.names import UID_LABEL
from tapedeck_operator.reconcile.api import CHILD_KINDS, ObjectKey
from tapedeck_operator.reconcile.errors import ApiUnavailable, ManifestRejected
from tapedeck_operator.reconcile.event_router import EventRouter


class StoreApi:
    """Calls take microseconds to milliseconds: they run on the event loop itself."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def get(self, key: ObjectKey) -> Json:
        with _translated_errors():
            return self._objects.get(*key)

    async def create(self, manifest: Json) -> Json:
        with _translated_errors():
            return self._objects.create(manifest)

    async def apply(self, manifest: Json) -> Json:
        with _translated_errors():
            return self._objects.apply(manifest)[0]

    async def patch_spec(self, key: ObjectKey, spec: Json, resource_version: str) -> Json:
        with _translated_errors(), self._objects.transaction():
            document = self._objects.get(*key)
            document["metadata"]["resourceVersion"] = resource_version
            document["spec"] |= spec
            return self._objects.apply(document)[0]

    async def delete(self, key: ObjectKey, uid: str) -> None:
        with _translated_errors():
            self._objects.delete(*key, uid=uid)

    async def write_status(self, document: Json, status: Json) -> Json:
        metadata = document["metadata"]
        with _translated_errors():
            written = self._objects.set_status(
                document["kind"],
                metadata["namespace"],
                metadata["name"],
                status,
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        return written or document

    async def write_event(self, resource: AnyResource, event: Event) -> None:
        metadata = resource.metadata
        with _translated_errors():
            self._objects.add_event(
                {
                    "uid": metadata.uid,
                    "kind": resource.kind,
                    "name": metadata.name,
                    "namespace": metadata.namespace,
                    "type": event.type,
                    "reason": event.reason,
                    "message": event.message,
                    "at": format_ms(time.time_ns() // 1_000_000),
                }
            )


def routed_to(router: EventRouter) -> Callable[[Change], None]:
    """A handler that passes changes of resources and their children to the reconciler, in the API server's form."""

    def handle(change: Change) -> None:
        document = change.document
        kind = document["kind"]
        if kind in KINDS or (kind in CHILD_KINDS and UID_LABEL in document["metadata"].get("labels", {})):
            shown = kubernetes_pod(document) if kind == "Pod" else document
            router.handle(kind, "DELETED" if change.deleted else "MODIFIED", shown)

    return handle


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except InvalidResource as error:
        raise ManifestRejected(str(error)) from None
    except DeckError as error:
        raise ApiUnavailable(str(error)) from None
