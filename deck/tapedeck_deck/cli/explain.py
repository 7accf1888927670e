"""`tapedeck explain`: a kind of resource or one of its fields, as `kubectl explain` shows it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.fields import NO_DEFAULT, SchemaField, find_field
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION, KINDS
from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.kinds import parse_kinds

WIDTH = 100


def find(path: str) -> SchemaField:
    """The field at a path such as replay.spec.seek. Raises WrongArgument."""
    kind, *names = path.replace("[]", "").split(".")
    kinds = parse_kinds(kind)
    if len(kinds) > 1 or kinds[0] not in KINDS:
        raise WrongArgument(f"kind: got {kind!r}, expected one of {', '.join(each.lower() for each in KINDS)}")
    try:
        return find_field(kinds[0], [name for name in names if name])
    except InvalidInput as error:
        raise WrongArgument(str(error)) from None


def lines(field: SchemaField, *, recursive: bool) -> Iterator[str]:
    """The text of a field: what it is, and the fields in it; with ``recursive`` those at every depth, in short."""
    kind = next(each for each in KINDS if each.lower() == field.path.split(".")[0])
    yield f"KIND:     {kind}"
    yield f"VERSION:  {API_VERSION}"
    yield ""
    if "." in field.path:
        yield f"FIELD:    {_head(field)}"
        yield ""
    yield "DESCRIPTION:"
    yield from _paragraph(field.description or "<none>", 4)
    yield from (f"    {fact}" for fact in _facts(field))
    if field.fields:
        yield ""
        yield "FIELDS:"
        yield from _tree(field, 2) if recursive else _described(field)


def as_document(field: SchemaField) -> Json:
    """A field as JSON, with the fields in it."""
    found: Json = {
        "path": field.path,
        "type": field.type,
        "description": field.description,
        "required": field.required,
        "unit": field.unit,
        "limits": list(field.limits),
        "values": list(field.values),
        "fields": [as_document(each) for each in field.fields],
    }
    return found | ({} if field.default is NO_DEFAULT else {"default": field.default})


def _head(field: SchemaField) -> str:
    return f"{field.name} <{field.type}>" + (" -required-" if field.required else "")


def _described(field: SchemaField) -> Iterator[str]:
    for each in field.fields:
        yield f"  {_head(each)}"
        yield from _paragraph(each.description, 4)
        yield from (f"    {fact}" for fact in _facts(each))
        yield ""


def _tree(field: SchemaField, indent: int) -> Iterator[str]:
    for each in field.fields:
        yield " " * indent + _head(each)
        yield from _tree(each, indent + 2)


def _facts(field: SchemaField) -> Iterator[str]:
    """Default, unit, values and limits, where a field has them."""
    if field.default is not NO_DEFAULT:
        yield f"default: {json.dumps(field.default)}"
    if field.unit:
        yield f"unit: {field.unit}"
    if field.values:
        yield from _paragraph(f"one of: {', '.join(map(str, field.values))}", 0)
    if field.limits:
        yield f"limits: {', '.join(field.limits)}"


def _paragraph(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)
