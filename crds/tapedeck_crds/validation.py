"""Messages for what pydantic rejects: the field, the value and what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from tapedeck_crds.patterns import IN_WORDS
from tapedeck_crds.text import quoted

PROBLEMS_MAX = 20  # lines of a message


def validation_problems(error: ValidationError, prefix: str = "", model: type[BaseModel] | None = None) -> list[str]:
    """One line for each problem, such as ``spec.speed: got 0, expected greater than or equal to 0.1``.

    With the ``model`` that was validated, a line about an unknown field names the field that is nearest to it.
    """
    lines = [f"{prefix}{line}" for line in islice(_problems(error, model), PROBLEMS_MAX)]
    if (more := error.error_count() - PROBLEMS_MAX) > 0:
        lines.append(f"{prefix}{more} more problems")
    return lines


def _problems(error: ValidationError, model: type[BaseModel] | None) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        field = _path(detail["loc"]) or "document"
        value = detail["input"]
        match detail["type"]:
            case "missing":
                yield f"{field}: missing, expected a value"
            case "extra_forbidden":
                hint = "" if model is None else _near(model, detail["loc"])
                yield f"{field}: got {quoted(value)}, expected no field of this name{hint}"
            case "too_short":
                yield f"{field}: got {quoted(value)}, expected at least {detail['ctx']['min_length']} of them"
            case "too_long":
                yield f"{field}: got {len(value)} of them, expected at most {detail['ctx']['max_length']}"
            case _:
                yield f"{field}: got {quoted(value)}, expected {_expected(detail['msg'], detail.get('ctx', {}))}"


def _near(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The known field beside the unknown one at a place that is nearest to it, as a question; empty without one."""
    models = {model}
    for part in location[:-1]:
        inner = {m for each in models for name, type_ in _fields(each) if name == part for m in _models_in(type_)}
        models = inner or models  # a part may be a place in a list, a key of a map, or a branch of a union
    known = [name for each in models for name, _ in _fields(each)]
    near = get_close_matches(str(location[-1]), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Name in documents and type of each field."""
    return ((field.alias or name, field.annotation) for name, field in model.model_fields.items())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is, or is made of, as a list or an optional one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


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
        pattern = context["pattern"]
        text = IN_WORDS.get(pattern) or f"text that matches {pattern}"
    return text
