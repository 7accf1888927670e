"""From untyped documents to resources, with messages that name the field, the value and what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from tapedeck_crds.base import Model
from tapedeck_crds.resource import API_VERSION, Resource


class InvalidResource(ValueError):
    """A document that is not a valid resource; ``problems`` has one line for each thing that is wrong."""

    def __init__(self, what: str, problems: list[str]) -> None:
        self.what = what
        self.problems = problems
        super().__init__("\n".join(f"{what}: {problem}" for problem in problems))


def parse_resource(document: object) -> Resource:
    """A YAML or JSON document → the resource. Raises InvalidResource with every problem found."""
    from tapedeck_crds.kinds import KINDS

    if not isinstance(document, Mapping):
        raise InvalidResource("document", [f"got {document!r}, expected a mapping with apiVersion, kind, …"])
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidResource("document", [f"kind: got {kind!r}, expected one of {', '.join(KINDS)}"])
    metadata = document.get("metadata")
    name = metadata.get("name", "?") if isinstance(metadata, Mapping) else "?"
    what = f"{kind} {name}"
    if document.get("apiVersion") != API_VERSION:
        raise InvalidResource(what, [f"apiVersion: got {document.get('apiVersion')!r}, expected {API_VERSION!r}"])
    try:
        # Field names as YAML has them: what Python calls them is no one's business outside.
        resource = KINDS[kind].model_validate(_without_nulls(document), by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidResource(what, validation_problems(error)) from None
    broken = list(_broken_rules(resource.spec, None, "spec"))
    if broken:
        raise InvalidResource(what, broken)
    return resource


def parse_update(document: object, old: Resource) -> Resource:
    """As parse_resource, for a document that replaces ``old``: what can't change in a run must be as it was."""
    new = parse_resource(document)
    broken = list(_broken_rules(new.spec, old.spec, "spec"))
    if broken:
        raise InvalidResource(f"{new.kind} {new.metadata.name}", broken)
    return new


def _without_nulls(value: Any) -> Any:
    """A field that is null counts as left out, as on the API server."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def validation_problems(error: ValidationError, prefix: str = "") -> list[str]:
    """One line for each problem: the field, the value and what was expected."""
    return [f"{prefix}{line}" for line in _problems(error)]


def _problems(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        where = _path(detail["loc"]) or "document"
        given = detail["input"]
        match detail["type"]:
            case "missing":
                yield f"{where}: missing, expected a value"
            case "extra_forbidden":
                yield f"{where}: got {_short(given)}, expected no field of this name"
            case "too_short":
                yield f"{where}: got {_short(given)}, expected at least {detail['ctx']['min_length']} of them"
            case "too_long":
                yield f"{where}: got {len(given)} of them, expected at most {detail['ctx']['max_length']}"
            case _:
                yield f"{where}: got {_short(given)}, expected {_expected(detail['msg'], detail.get('ctx', {}))}"


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() or not path:
            path += f".{part}" if path else part
    return path


def _expected(message: str, context: Mapping[str, Any]) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input should be ")
    text = text.removeprefix("expected ")
    if "pattern" in context:
        text = f"text that matches {context['pattern']}"
    return text


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


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
