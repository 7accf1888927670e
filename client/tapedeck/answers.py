"""What the answers of a gateway hold, as JSON or Arrow; what is no answer of a gateway is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import httpx
import pyarrow as pa

from tapedeck.errors import UnexpectedAnswer

JsonObject: TypeAlias = dict[str, Any]


def json_of(answer: httpx.Response) -> JsonObject:
    """The object of an answer: all answers in JSON are objects. Raises UnexpectedAnswer."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnexpectedAnswer(
            f"{answer.url}: got {_type_of(answer)}, expected an object in JSON; is this the address of a Tapedeck "
            "gateway?",
            status=answer.status_code,
        )
    return found


def arrow_of(answer: httpx.Response) -> pa.Table:
    """The Arrow table of an answer. Raises UnexpectedAnswer."""
    try:
        return pa.ipc.open_stream(pa.py_buffer(answer.content)).read_all()
    except (pa.ArrowException, OSError) as error:  # a stream that is cut short is an OSError
        raise UnexpectedAnswer(
            f"{answer.url}: got {_type_of(answer)}, expected an Arrow stream ({error})", status=answer.status_code
        ) from None


def problem_of(answer: httpx.Response) -> Mapping[str, Any]:
    """The problem details of an answer; empty where it has none."""
    try:
        return json_of(answer)
    except UnexpectedAnswer:
        return {}


def part_of(answer: Any, *names: str) -> Any:
    """What an answer has under a name, and in that under the next. Raises UnexpectedAnswer."""
    for name in names:
        if not isinstance(answer, Mapping) or name not in answer:
            raise UnexpectedAnswer(
                f"{'.'.join(names)}: got no {name} in the answer; is the gateway of another version than this client?"
            )
        answer = answer[name]
    return answer


def list_of(answer: Any, *names: str) -> list[Any]:
    """As ``part_of``, for a list."""
    found = part_of(answer, *names)
    if not isinstance(found, list):
        raise UnexpectedAnswer(
            f"{'.'.join(names)}: got {type(found).__name__}, expected a list; is the gateway of another version than "
            "this client?"
        )
    return found


def objects_of(answer: Any, *names: str) -> list[JsonObject]:
    """As ``list_of``, for a list of objects."""
    found = list_of(answer, *names)
    if not all(isinstance(each, dict) for each in found):
        raise UnexpectedAnswer(f"{'.'.join(names)}: got a list with other values, expected one of objects")
    return found


def _type_of(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "no content type"))
