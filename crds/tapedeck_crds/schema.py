"""CustomResourceDefinitions from the types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tapedeck_crds.base import Model
from tapedeck_crds.json import Json
from tapedeck_crds.resource import GROUP, NAME_RULE, VERSION, Resource


def crd(kind: type[Resource[Any, Any]]) -> Json:
    """The CustomResourceDefinition of a kind, as a document."""
    singular = kind.__name__.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.__name__,
                "listKind": f"{kind.__name__}List",
                "plural": kind.plural,
                "singular": singular,
                "shortNames": list(kind.short_names),
                "categories": ["tapedeck"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        c.model_dump(by_alias=True, exclude_defaults=True) for c in kind.columns
                    ],
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def _root(kind: type[Resource[Any, Any]]) -> Json:
    document = kind.model_json_schema(by_alias=True, mode="validation")
    definitions = document.get("$defs", {})
    rules = _rules_by_title(kind)
    properties = document["properties"]
    return {
        "type": "object",
        "description": kind.about,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _structural(properties["spec"], definitions, rules),
            "status": _structural(properties["status"], definitions, rules),
        },
        "x-kubernetes-validations": [_validation(NAME_RULE.cel, NAME_RULE.message)],
    }


def _validation(cel: str, message: str) -> Json:
    return {"rule": cel, "message": message}


def _rules_by_title(kind: type[BaseModel]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    todo: list[type[BaseModel]] = [kind]
    while todo:
        model = todo.pop()
        if model.__name__ in found:
            continue
        rules = model.rules if issubclass(model, Model) else ()
        found[model.__name__] = [_validation(rule.cel, rule.message) for rule in rules]
        for field in model.model_fields.values():
            todo.extend(_models_in(field.annotation))
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_in(part)]


def _structural(node: Json, definitions: Json, rules: dict[str, list[Json]]) -> Json:
    """JSON Schema of pydantic → the structural schema that the API server accepts."""
    description = node.get("description")
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        inner = _structural({**definitions[name]}, definitions, rules)
        if rules.get(name):
            inner["x-kubernetes-validations"] = rules[name]
        if description:
            inner["description"] = description
        if "default" in node:
            inner["default"] = node["default"]
        return inner
    if "anyOf" in node:
        options = [option for option in node["anyOf"] if option.get("type") != "null"]
        if len(options) == 1:
            rest = {k: v for k, v in node.items() if k not in ("anyOf", "default") or v is not None}
            rest.pop("anyOf", None)
            merged = _structural({**options[0]}, definitions, rules)
            return merged | dict(_structural(rest, definitions, rules).items())
        return {"x-kubernetes-preserve-unknown-fields": True} | ({"description": description} if description else {})
    if node.get("x-kubernetes-preserve-unknown-fields"):
        default = {"default": node["default"]} if "default" in node else {}
        return {"type": "object", "description": description, "x-kubernetes-preserve-unknown-fields": True} | default
    return _leaf_or_object(node, definitions, rules)


_KEPT = [
    "type",
    "description",
    "default",
    "enum",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "pattern",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
]


def _leaf_or_object(node: Json, definitions: Json, rules: dict[str, list[Json]]) -> Json:
    out: Json = {key: node[key] for key in _KEPT if key in node and node[key] is not None}
    if "exclusiveMinimum" in node:  # a number in JSON Schema, a flag in OpenAPI 3.0
        out |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    if rules_of_limits := _fractional_limits(node):
        out["x-kubernetes-validations"] = rules_of_limits
    if "const" in node:
        out |= {"type": "string", "enum": [node["const"]]}
    if node.get("properties"):
        out["properties"] = {name: _structural(child, definitions, rules) for name, child in node["properties"].items()}
        required = list(node.get("required", []))
        if required:
            out["required"] = required
    if isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _structural(node["additionalProperties"], definitions, rules)
    if "items" in node:
        out["items"] = _structural(node["items"], definitions, rules)
    return out


def _fractional_limits(node: Json) -> list[Json]:
    """Limits such as 0.1 as CEL rules, too: the API server truncates them to integers for values like 0 and 2."""
    limits = (("minimum", ">=", "at least"), ("maximum", "<=", "at most"))
    return [
        _validation(f"self {sign} {node[limit]}", f"expected {words} {node[limit]}")
        for limit, sign, words in limits
        if not float(node.get(limit, 0)).is_integer()
    ]
