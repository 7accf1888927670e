"""ConfigMaps that users bring to an embedded deck: files for their runs, as on a cluster."""

from __future__ import annotations

import re

from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource

KIND = "ConfigMap"
MAX_BYTES = 1_048_576  # of the whole, as the API server has it
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")


def check(document: Json, kind: str = KIND) -> None:
    """Raises InvalidResource where a cluster would not take it, or where it holds more than text."""
    name, data = document["metadata"].get("name"), document.get("data", {})
    wrong = [f"{key}: unknown field" for key in document if key not in ("apiVersion", "kind", "metadata", "data")]
    if document.get("apiVersion") != "v1":
        wrong.append(f"apiVersion: got {document.get('apiVersion')!r}, expected 'v1'")
    if not isinstance(name, str) or not _NAME.match(name):
        wrong.append(f"metadata.name: got {name!r}, expected up to 253 of a-z, 0-9, - and .")
    if not isinstance(data, dict):
        wrong.append(f"data: got {data!r}, expected a text for each name of a file")
    else:
        wrong += [f"data.{key}: got a name with other than letters, digits, -, _ and ." for key in data if _bad(key)]
        wrong += [f"data.{key}: got {v!r}, expected text" for key, v in data.items() if not isinstance(v, str)]
        size = sum(len(str(value).encode()) for value in data.values())
        if size > MAX_BYTES:
            wrong.append(f"data: got {size} bytes, expected at most {MAX_BYTES}")
    if wrong:
        raise InvalidResource(f"{kind} {name}", wrong)


def _bad(key: str) -> bool:
    return not _KEY.match(key) or key in (".", "..")
