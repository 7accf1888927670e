"""From untyped documents to resources, checked as the API server checks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from pydantic import BaseModel, ValidationError

from tapedeck_crds.base import Model
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.kinds import KINDS, AnyResource
from tapedeck_crds.resource import API_VERSION
from tapedeck_crds.text import excerpt, quoted
from tapedeck_crds.validation import validation_problems

DEPTH_MAX = 100


class InvalidResource(InvalidInput):
    """A document that is not a valid resource; ``problems`` has one line for each thing that is wrong."""

    reason = "InvalidResource"

    def __init__(self, resource: str, problems: list[str]) -> None:
        self.resource = resource
        self.problems = problems
        super().__init__("\n".join(f"{resource}: {problem}" for problem in problems))


def parse_resource(document: object) -> AnyResource:
    """A YAML or JSON document → the resource. Raises InvalidResource with every problem found."""
    if unfit := _unfit(document):
        raise InvalidResource("document", [unfit])
    if not isinstance(document, Mapping):
        raise InvalidResource("document", [f"got {quoted(document)}, expected a mapping with apiVersion, kind, …"])
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidResource("document", [f"kind: got {quoted(kind)}, expected one of {', '.join(KINDS)}"])
    title = f"{kind} {_shown_name(document.get('metadata'))}"
    if document.get("apiVersion") != API_VERSION:
        raise InvalidResource(
            title, [f"apiVersion: got {quoted(document.get('apiVersion'))}, expected {API_VERSION!r}"]
        )
    try:
        # Only the names of the YAML fields: those of the Python attributes are internal.
        resource = KINDS[kind].model_validate(_without_nulls(document), by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidResource(title, validation_problems(error, model=KINDS[kind])) from None
    broken = list(_broken_rules(resource.spec, None, "spec"))
    if broken:
        raise InvalidResource(title, broken)
    return resource


def parse_update(document: object, old: AnyResource) -> AnyResource:
    """As parse_resource, for a document that replaces ``old``: also checks that immutable fields are unchanged."""
    new = parse_resource(document)
    broken = list(_broken_rules(new.spec, old.spec, "spec"))
    if broken:
        raise InvalidResource(f"{new.kind} {new.metadata.name}", broken)
    return new


def _unfit(document: object) -> str:
    """Why a document can be no resource, whatever its fields are; empty if it can. Found without recursion."""
    level: list[object] = [document]
    for _ in range(DEPTH_MAX + 1):
        if any(isinstance(each, str) and not _is_unicode(each) for each in level):
            return "got text with half of a surrogate pair, expected Unicode"
        level = [one for each in level for one in _parts(each)]
    return f"got values nested deeper than {DEPTH_MAX}, expected a resource" if level else ""


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return chain(value.keys(), value.values())
    return value if isinstance(value, list) else ()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown_name(metadata: object) -> str:
    name = metadata.get("name", "?") if isinstance(metadata, Mapping) else "?"
    return excerpt(name) if isinstance(name, str) else quoted(name)


def _without_nulls(value: Any) -> Any:
    """A field that is null counts as left out, as on the API server."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _broken_rules(new: BaseModel, old: BaseModel | None, path: str) -> Iterator[str]:
    if isinstance(new, Model):
        for rule in new.rules:
            if rule.transition and old is None:
                continue
            if not rule.holds(new, old):
                yield f"{path}: {rule.message}"
    for name, field in type(new).model_fields.items():
        value = getattr(new, name)
        before = getattr(old, name, None)
        below = f"{path}.{field.alias or name}"
        if isinstance(value, BaseModel):
            yield from _broken_rules(value, before if isinstance(before, BaseModel) else None, below)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from _broken_rules(item, None, f"{below}[{number}]")
