"""The JSON schemas of the bodies of requests that change something: of resources from the schemas of the CRDs."""

from __future__ import annotations

from typing import Any

from tapedeck_crds.import_options import FileOptions
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, KINDS
from tapedeck_crds.resource import NAME_MAX, NAME_PATTERN
from tapedeck_crds.schema import crd
from tapedeck_gateway.resources.controls import ReplayControls
from tapedeck_gateway.resources.strategy_sources import StrategySource

PATCH = "ResourcePatch"
_BODIES = (ReplayControls, StrategySource, FileOptions)
_TEXTS: Json = {"type": "object", "additionalProperties": {"type": "string"}}
_PATCHED_TEXTS: Json = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
_REFERENCE = "#/components/schemas/{model}"
_INTEGER_OR_STRING = "x-kubernetes-int-or-string"


def body_schemas() -> Json:
    """The schemas by name: one of each kind, PATCH, those of the other bodies, and of what is in them."""
    others: dict[str, Any] = {}
    for model in _BODIES:
        schema = _plain(model.model_json_schema(ref_template=_REFERENCE))
        others |= {**schema.pop("$defs", {}), model.__name__: schema}
    return {**{kind: _manifest(kind) for kind in KINDS}, PATCH: _patch(), **others}


def _manifest(kind: str) -> Json:
    schema = crd(KINDS[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    name = {"type": "string", "minLength": 1, "maxLength": NAME_MAX, "pattern": NAME_PATTERN}
    namespace = {"type": "string", "description": "That of the path, or left out."}
    return {
        "type": "object",
        "description": schema["description"],
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": name, "namespace": namespace, "labels": _TEXTS, "annotations": _TEXTS},
            },
            "spec": _plain(schema["properties"]["spec"]),
        },
    }


def _patch() -> Json:
    return {
        "type": "object",
        "description": "A JSON merge patch of a resource: what it leaves out stays, null removes a field.",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "metadata": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"labels": _PATCHED_TEXTS, "annotations": _PATCHED_TEXTS},
            },
            "spec": {"type": "object", "description": "The fields of the kind's spec that change."},
        },
    }


def _plain(schema: Any) -> Any:
    """The schema of a CRD (OpenAPI 3.0 and Kubernetes' extensions) as JSON Schema, of which OpenAPI 3.1 is made."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(each) for key, each in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get(_INTEGER_OR_STRING):
        plain["type"] = ["integer", "string"]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if plain.get(exclusive) is True:  # in OpenAPI 3.0 it says how the bound beside it is meant
            plain[exclusive] = plain.pop(bound)
    return plain
