"""A resource as YAML with the description of each field, from the schema of its kind.

`# ` begins a description. A `#` without a blank begins a field that has its default: without the `#` nothing changes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from tapedeck_crds.fields import NO_DEFAULT, SchemaField, find_field
from tapedeck_crds.json import Json

WIDTH = 110


def commented(document: Json) -> str:
    """The YAML of a resource."""
    kind = document["kind"]
    head = {name: document[name] for name in ("apiVersion", "kind", "metadata")}
    lines = [yaml.safe_dump(head, sort_keys=False).rstrip("\n"), "spec:"]
    lines += _fields(find_field(kind, ["spec"]), document["spec"], "  ")
    return "\n".join(lines) + "\n"


def _fields(field: SchemaField, values: Json, indent: str, *, others: bool = True) -> Iterator[str]:
    """The lines of given values; with ``others`` also those of fields that are not given."""
    unsaid: list[str] = []
    for each in field.fields:
        if each.name in values:
            yield from _comment(each.description, indent)
            yield from _value(each, values[each.name], indent)
        elif others and _is_scalar(each.default):
            yield from _comment(each.description, indent)
            yield f"{indent}#{each.name}: {_inline(each.default)}"
        else:
            unsaid.append(each.name)
    if unsaid and others:
        path = field.path.replace("[]", "")
        yield from _comment(f"Also: {', '.join(unsaid)} (`tapedeck explain {path}`).", indent)


def _value(field: SchemaField, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and field.fields:
        yield f"{indent}{field.name}:"
        yield from _fields(field, value, indent + "  ")
    elif isinstance(value, list) and field.fields:
        yield f"{indent}{field.name}:"
        for number, item in enumerate(value):
            yield from _item(field, item, indent + "  ", others=not number)
    else:
        yield f"{indent}{field.name}: {_inline(value)}"


def _item(field: SchemaField, item: Json, indent: str, *, others: bool) -> Iterator[str]:
    """The lines of an item; the hyphen stands before its first field, below the comment of that."""
    begun = False
    for line in _fields(field, item, indent + "  ", others=others):
        if begun:
            yield line
        elif line.lstrip().startswith("#"):
            yield line[2:]
        else:
            begun = True
            yield f"{indent}- {line[len(indent) + 2 :]}"


def _is_scalar(value: Any) -> bool:
    return value is not NO_DEFAULT and value is not None and not isinstance(value, dict | list)


def _inline(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("\n...\n").strip()


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False)
