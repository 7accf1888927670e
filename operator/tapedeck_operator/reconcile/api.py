"""The interface of an API that stores resources and their children, and the names of what it stores."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS, AnyResource
from tapedeck_operator.plan import Event

CHILD_KINDS = ("Job", "Deployment", "Pod", "NetworkPolicy")
WATCHED_KINDS = (*KINDS, *CHILD_KINDS)


class ObjectKey(NamedTuple):
    """Identifies one object, whichever uid holds the name."""

    kind: str
    namespace: str
    name: str


class ResourceApi(Protocol):
    """What the reconciler asks of an API. Changes reach it the other way: the API's watch feeds the EventRouter.

    Documents have the form of the Kubernetes API. Every method raises a subclass of ResourceApiError.
    """

    async def get(self, key: ObjectKey) -> Json:
        """Return one object. Raises ObjectNotFound."""
        ...

    async def create(self, manifest: Json) -> Json:
        """Create an object. Raises ObjectExists where one has its name."""
        ...

    async def apply(self, manifest: Json) -> Json:
        """Create the object, or change the existing one to match the manifest."""
        ...

    async def patch_spec(self, key: ObjectKey, spec: Json, resource_version: str) -> Json:
        """Replace some fields of a spec. Raises ObjectConflict where the object has another resourceVersion."""
        ...

    async def delete(self, key: ObjectKey, uid: str) -> None:
        """Delete the object of this uid and, in the background, its children. Does nothing where it is gone."""
        ...

    async def write_status(self, document: Json, status: Json) -> Json:
        """Replace the status of a resource. Raises ObjectConflict where ``document`` is not its newest version."""
        ...

    async def write_event(self, resource: AnyResource, event: Event) -> None:
        """Record an event about a resource."""
        ...


def key_of(kind: str, document: Json) -> ObjectKey:
    """The key of a document, which may lack its kind, as the items of a list do."""
    metadata = document["metadata"]
    return ObjectKey(kind, metadata.get("namespace", ""), metadata["name"])


def version_of(document: Json) -> int:
    """The resourceVersion as a number: it grows with every change."""
    return int(document["metadata"]["resourceVersion"])


def is_deleted(document: Json) -> bool:
    """Whether the object is being deleted: nothing may be planned on it."""
    return bool(document["metadata"].get("deletionTimestamp"))
