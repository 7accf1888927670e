"""Secrets that users bring to an embedded deck: keys of exchanges, as on a cluster."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode

from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource
from tapedeck_deck.cli import config_map
from tapedeck_operator.plan.pods import CONNECTIONS_SECRET

KIND = "Secret"
_FIELDS = ("apiVersion", "kind", "metadata", "type", "data", "stringData")


def placed(document: Json) -> Json:
    """The Secret with its ``stringData`` among its ``data``, as a cluster keeps it. Raises InvalidResource."""
    name = document["metadata"].get("name")
    wrong = [f"{key}: unknown field" for key in document if key not in _FIELDS]
    if name == CONNECTIONS_SECRET:
        wrong.append(f"metadata.name: got {name}, which the deck makes itself; expected another")
    parts = [document.get(part) or {} for part in ("data", "stringData")]
    if not all(isinstance(part, dict) and all(isinstance(v, str) for v in part.values()) for part in parts):
        wrong.append("data, stringData: expected a text for each name of a file")  # no values: they are secret
        parts = [{}, {}]
    wrong += [f"data.{key}: expected base64; stringData takes text as it is" for key, v in parts[0].items() if _bad(v)]
    if wrong:
        raise InvalidResource(f"{KIND} {name}", wrong)
    data = parts[0] | {key: b64encode(value.encode()).decode() for key, value in parts[1].items()}
    manifest = {key: value for key, value in document.items() if key not in ("data", "stringData")}
    config_map.check({"apiVersion": document.get("apiVersion"), "metadata": document["metadata"], "data": data}, KIND)
    return manifest | {"data": data}


def _bad(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return True
    return False
