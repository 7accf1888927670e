"""What a request's body says: the manifest of a resource, or a patch of one."""

from __future__ import annotations

from typing import Any

from tapedeck_common.yaml_documents import read_documents
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_crds.patch import check_patch

BODY = "body"
# An API sets these and a status: a resource as it was read can be created again.
_SERVERS = frozenset(
    {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "deletionTimestamp"}
)
_WRITTEN = frozenset({"name", "namespace", "labels", "annotations"})


def parse_manifest(body: bytes, kind: str, namespace: str) -> Json:
    """The YAML or JSON of one resource of this kind and namespace. Raises InvalidInput with every problem found."""
    given = _mapping(_only_document(body))
    if given.get("kind") != kind:
        raise InvalidInput(f"kind: got {str(given.get('kind'))[:80]!r}, expected {kind!r}")
    metadata = _mapping(given.get("metadata"), "metadata")
    if foreign := sorted(str(key) for key in metadata.keys() - _SERVERS - _WRITTEN):
        raise InvalidInput(f"metadata.{foreign[0][:80]}: expected {', '.join(sorted(_WRITTEN))} only")
    if (named := metadata.get("namespace", namespace)) != namespace:
        raise InvalidInput(f"metadata.namespace: got {str(named)[:80]!r}, expected {namespace!r}, as in the path")
    written = {key: value for key, value in metadata.items() if key in _WRITTEN} | {"namespace": namespace}
    manifest = {key: value for key, value in given.items() if key != "status"} | {"metadata": written}
    try:
        parse_resource(manifest)
    except InvalidResource as error:
        raise InvalidInput("\n".join(error.problems), reason=error.reason) from None
    return manifest


def parse_patch(body: bytes, name: str) -> Json:
    """A JSON merge patch, which may be YAML, of spec, labels and annotations. Raises InvalidInput."""
    patch = _mapping(_only_document(body))
    try:
        check_patch(name, patch)
    except InvalidResource as error:
        raise InvalidInput("\n".join(error.problems), reason=error.reason) from None
    if not patch:
        raise InvalidInput(f"{BODY}: got an empty patch, expected at least one field such as spec")
    return patch


def _only_document(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{BODY}: expected UTF-8") from None
    documents = [content for _, content in read_documents(text, BODY) if content is not None]
    if len(documents) != 1:
        raise InvalidInput(f"{BODY}: got {len(documents)} documents, expected one")
    return documents[0]


def _mapping(value: Any, name: str = BODY) -> Json:
    if not isinstance(value, dict):
        raise InvalidInput(f"{name}: got {str(value)[:80]!r}, expected a mapping")
    return value
