"""What a patch of a resource may change: its spec, labels and annotations. The rest belongs to the API.

It may name the resourceVersion that it is based on: the API refuses it where the object has changed since.
"""

from __future__ import annotations

from collections.abc import Mapping

from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource

_PATCHABLE = "expected a patch of spec, metadata.labels and metadata.annotations only"


def check_patch(what: str, patch: Json) -> None:
    """Raise InvalidResource where a JSON merge patch (RFC 7386) of a resource changes anything else."""
    metadata = patch.get("metadata", {})
    if not isinstance(metadata, Mapping):
        raise InvalidResource(what, [f"metadata: got {metadata!r}, {_PATCHABLE}"])
    foreign = [key for key in patch if key not in ("spec", "metadata")]
    foreign += [f"metadata.{key}" for key in metadata if key not in ("labels", "annotations", "resourceVersion")]
    if foreign:
        raise InvalidResource(what, [f"{field}: {_PATCHABLE}" for field in foreign])
