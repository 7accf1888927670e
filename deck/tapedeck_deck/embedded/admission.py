"""Validation and defaulting of documents: the embedded deck's counterpart of the API server's admission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapedeck_crds.json import Json

STORE_FIELDS = ("uid", "generation", "resourceVersion", "creationTimestamp")


def admit(manifest: Json, old: Json | None) -> Json:
    """The document to store: validated, with defaults, without its status and the fields that the store sets.

    Raises InvalidResource, also where the document changes an immutable field of ``old``.
    """
    from tapedeck_crds.kinds import KINDS
    from tapedeck_crds.parse import parse_resource, parse_update

    document = {key: value for key, value in manifest.items() if key != "status"}
    if document.get("kind") in KINDS:
        parsed = (
            parse_resource(document)
            if old is None
            else parse_update(document, parse_resource({key: value for key, value in old.items() if key != "status"}))
        )
        document["spec"] = parsed.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    else:
        _check_shape(document)
    given = {key: value for key, value in document["metadata"].items() if value is not None}
    document["metadata"] = {"namespace": "default"} | {k: v for k, v in given.items() if k not in STORE_FIELDS}
    return document


def _check_shape(document: Json) -> None:
    from tapedeck_crds.parse import InvalidResource

    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    fields = {"apiVersion": document.get("apiVersion"), "kind": document.get("kind"), "metadata.name": name}
    wrong = [f"{field}: got {value!r}, expected text" for field, value in fields.items() if not _is_text(value)]
    if wrong:
        raise InvalidResource(f"{document.get('kind')} {name}", wrong)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def merge_patch(target: object, patch: object) -> Any:
    """JSON merge patch (RFC 7386): null removes, objects merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
