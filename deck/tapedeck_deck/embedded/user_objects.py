"""ConfigMaps and Secrets that users apply to an embedded deck, validated as an API server would."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource
from tapedeck_deck.embedded.services import RESULTS_KEY_SECRET, TOKENS_SECRET
from tapedeck_operator.plan.pods import CONNECTIONS_SECRET

CONFIG_MAP = "ConfigMap"
SECRET = "Secret"
MAX_BYTES = 1_048_576  # of all values together, as in an API server
_SECRET_FIELDS = ("apiVersion", "kind", "metadata", "type", "data", "stringData")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")


def validate_config_map(document: Json, kind: str = CONFIG_MAP) -> None:
    """Raise InvalidResource for a ConfigMap that an API server would reject, or that holds more than text.

    ``kind`` is the kind that the error names.
    """
    name, data = document["metadata"].get("name"), document.get("data", {})
    errors = [f"{key}: unknown field" for key in document if key not in ("apiVersion", "kind", "metadata", "data")]
    if document.get("apiVersion") != "v1":
        errors.append(f"apiVersion: got {document.get('apiVersion')!r}, expected 'v1'")
    if not isinstance(name, str) or not _NAME.match(name):
        errors.append(f"metadata.name: got {name!r}, expected up to 253 of a-z, 0-9, - and .")
    if not isinstance(data, dict):
        errors.append(f"data: got {data!r}, expected a mapping of file names to text")
    else:
        invalid = [key for key in data if not _is_key(key)]
        errors += [f"data.{key}: got an invalid key, expected letters, digits, -, _ and . only" for key in invalid]
        errors += [f"data.{key}: got {v!r}, expected text" for key, v in data.items() if not isinstance(v, str)]
        size = sum(len(str(value).encode()) for value in data.values())
        if size > MAX_BYTES:
            errors.append(f"data: got {size} bytes, expected at most {MAX_BYTES}")
    if errors:
        raise InvalidResource(f"{kind} {name}", errors)


def normalized_secret(document: Json) -> Json:
    """The Secret with its ``stringData`` merged into ``data``, as an API server stores it.

    Raises InvalidResource. Its message never holds a value of the Secret.
    """
    name = document["metadata"].get("name")
    errors = [f"{key}: unknown field" for key in document if key not in _SECRET_FIELDS]
    if name in (CONNECTIONS_SECRET, RESULTS_KEY_SECRET, TOKENS_SECRET):
        errors.append(f"metadata.name: got {name}, which the deck creates; expected another name")
    parts = [document.get(part) or {} for part in ("data", "stringData")]
    if not all(isinstance(part, dict) and all(isinstance(v, str) for v in part.values()) for part in parts):
        errors.append("data, stringData: expected a mapping of file names to text")
        parts = [{}, {}]
    invalid = [key for key, value in parts[0].items() if not _is_base64(value)]
    errors += [f"data.{key}: expected base64; use stringData for plain text" for key in invalid]
    if errors:
        raise InvalidResource(f"{SECRET} {name}", errors)
    data = parts[0] | {key: b64encode(value.encode()).decode() for key, value in parts[1].items()}
    manifest = {key: value for key, value in document.items() if key not in ("data", "stringData")}
    as_config_map = {"apiVersion": document.get("apiVersion"), "metadata": document["metadata"], "data": data}
    validate_config_map(as_config_map, SECRET)
    return manifest | {"data": data}


def _is_key(key: str) -> bool:
    return _KEY.match(key) is not None and key not in (".", "..")


def _is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
