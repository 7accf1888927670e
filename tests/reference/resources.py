"""The fields of a kind of resource, with an example of each that a resource in this repository has."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from corpus_cases import cases
from reference.markdown import code, prose, table
from tapedeck_crds.fields import NO_DEFAULT, SchemaField, kind_fields
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.parse import parse_resource

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE_MAX = 60  # characters
_OTHERS = "`kubectl explain` and `tapedeck explain` show the same."


def page(kind: str) -> str:
    """The page of a kind."""
    model, root = KINDS[kind], kind_fields(kind)
    spec, status = root.fields
    columns = ", ".join(column.name for column in model.columns)
    return "\n".join(
        [
            f"# {kind}\n",
            f"{prose(model.about)} {_OTHERS} In a path, `[]` are the items of a list.\n",
            f"`kubectl get {model.plural}` (short: `{model.short_names[0]}`) prints {columns}.\n",
            "## Spec\n",
            f"{prose(spec.description)}\n",
            _spec_table(kind, spec),
            "## Rules\n",
            "Checked when a resource is created or changed:\n",
            *(f"- {prose(message)}" for message in _rules(kind)),
            "",
            "## Status\n",
            f"{prose(status.description)} Only the operator, or the deck, writes it.\n",
            table(("field", "type", "what it is"), (_status_row(each) for each in status.walk())),
        ]
    )


def _spec_table(kind: str, spec: SchemaField) -> str:
    headers = ("field", "type", "default", "unit", "what it is", "example")
    return table(headers, (_spec_row(kind, each) for each in spec.walk()))


def _spec_row(kind: str, each: SchemaField) -> tuple[str, ...]:
    default = "required" if each.required else "" if each.default is NO_DEFAULT else code(json.dumps(each.default))
    limits = "".join(f" Limits: {prose(limit)}." for limit in each.limits)
    values = f" One of {', '.join(map(_value, each.values))}." if each.values else ""
    example = _examples(kind).get(each.path, "")
    path = each.path.removeprefix(f"{kind.lower()}.spec.")
    return (
        code(path), prose(each.type), default, each.unit, prose(each.description) + values + limits, code(example),
    )  # fmt: skip


def _value(value: str) -> str:
    """A value of an enumeration; a blank in quotes, since it cannot be seen."""
    return code(value if value.strip() else json.dumps(value))


def _status_row(each: SchemaField) -> tuple[str, ...]:
    return code(each.path.partition(".status.")[2]), prose(each.type), prose(each.description)


def _rules(kind: str) -> list[str]:
    """The messages of the rules across fields, once each, in the order of the CRD."""
    from tapedeck_crds.schema import crd

    schema = crd(KINDS[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: list[str] = []

    def collect(node: Json) -> None:
        found.extend(rule["message"] for rule in node.get("x-kubernetes-validations", ()))
        for child in node.get("properties", {}).values():
            collect(child)
        for name in ("items", "additionalProperties"):
            if isinstance(node.get(name), dict):
                collect(node[name])

    collect({"properties": {"spec": schema["properties"]["spec"]}})
    return [
        *dict.fromkeys(
            message for message in found if not message.startswith(("expected at least", "expected at most 1"))
        )
    ]


@cache
def _examples(kind: str) -> dict[str, str]:
    """Path → a short value: of the examples first, then of the accepted cases of the corpus."""
    found: dict[str, str] = {}
    spec = kind_fields(kind).fields[0]
    for document in [*_documents_of_examples(), *(case.document for case in cases() if case.says is None)]:
        if document.get("kind") == kind:
            parse_resource(document)
            _collect(spec, document["spec"], found)
    return found


def _documents_of_examples() -> list[Json]:
    texts = [path.read_text() for path in sorted(EXAMPLES.rglob("*.yaml"))]
    documents = [document for text in texts for document in yaml.load_all(text, yaml.BaseLoader)]
    flat = [each for document in documents for each in (document.get("items") or [document])]
    return [_typed(each) for each in flat if each.get("apiVersion", "").startswith("tapedeck.dev/")]


def _typed(value: Any) -> Any:
    """Values of YAML's base loader as kubectl reads them: times stay text, numbers and truth values do not."""
    if isinstance(value, dict):
        return {key: _typed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_typed(each) for each in value]
    if value in ("true", "false"):
        return value == "true"
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value


def _collect(each: SchemaField, value: Any, found: dict[str, str]) -> None:
    """Keep what is not yet known of a field without fields below it: a value, a list of values, or a map."""
    if not each.fields:
        text = json.dumps(value, ensure_ascii=False)
        if len(text) <= EXAMPLE_MAX:
            found.setdefault(each.path, text)
        return
    for item in value if each.path.endswith("[]") else [value]:
        for child in each.fields:
            if child.name in item:
                _collect(child, item[child.name], found)
