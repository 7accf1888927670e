"""The form of requests at a deck's socket, and of answers to them: JSON, the text of a log, or a Status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource

_REASONS = {400: "BadRequest", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 422: "Invalid"}


class ApiRequest(NamedTuple):
    """A request of the gateway. ``body`` is JSON, or a part of a file."""

    method: str
    path: str
    query: Mapping[str, str]
    content_type: str = ""
    body: bytes = b""


class ApiAnswer(NamedTuple):
    """A status and a JSON object, or the text of a log."""

    status: int
    body: Json | str


class NoSuchPath(TapedeckError):
    """A deck serves nothing there."""

    http_status = 404


class NoSuchMethod(TapedeckError):
    """A deck serves the path, by other methods."""

    http_status = 405


def require_method(request: ApiRequest, method: str) -> None:
    """Raise NoSuchMethod for another one."""
    if request.method != method:
        raise NoSuchMethod(f"method: got {request.method}, expected {method} at {request.path[:200]}")


def json_body(body: bytes) -> Json:
    """The object that a body holds. Raises InvalidInput."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput("body: expected JSON") from None
    if not isinstance(value, dict):
        raise InvalidInput("body: expected a JSON object")
    return value


def failure(error: TapedeckError) -> ApiAnswer:
    """The Status of an error."""
    status = 422 if isinstance(error, InvalidResource) else error.http_status
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": _REASONS.get(status, "InternalError"),
        "code": status,
        "message": str(error),
    }
    if isinstance(error, InvalidResource):
        causes = [problem.partition(": ") for problem in error.problems]
        body["details"] = {"causes": [{"field": field, "message": said} for field, _, said in causes]}
    return ApiAnswer(status, body)
