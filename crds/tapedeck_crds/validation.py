"""Messages for what pydantic rejects: the field, the value and what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from tapedeck_crds.text import quoted

PROBLEMS_MAX = 20  # lines of a message


def validation_problems(error: ValidationError, prefix: str = "") -> list[str]:
    """One line for each problem, such as ``spec.speed: got 0, expected greater than or equal to 0.1``."""
    lines = [f"{prefix}{line}" for line in islice(_problems(error), PROBLEMS_MAX)]
    if (more := error.error_count() - PROBLEMS_MAX) > 0:
        lines.append(f"{prefix}{more} more problems")
    return lines


def _problems(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        field = _path(detail["loc"]) or "document"
        value = detail["input"]
        match detail["type"]:
            case "missing":
                yield f"{field}: missing, expected a value"
            case "extra_forbidden":
                yield f"{field}: got {quoted(value)}, expected no field of this name"
            case "too_short":
                yield f"{field}: got {quoted(value)}, expected at least {detail['ctx']['min_length']} of them"
            case "too_long":
                yield f"{field}: got {len(value)} of them, expected at most {detail['ctx']['max_length']}"
            case _:
                yield f"{field}: got {quoted(value)}, expected {_expected(detail['msg'], detail.get('ctx', {}))}"


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
