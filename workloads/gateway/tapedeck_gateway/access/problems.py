"""The form of an error in a response: problem details (RFC 9457) below /api/v1, UDF's elsewhere."""

from __future__ import annotations

import math
import re
from http import HTTPStatus

import msgspec
from starlette.responses import JSONResponse, Response

from tapedeck_crds.errors import TapedeckError
from tapedeck_gateway.access.errors import TokenRequired, TooManyRequests
from tapedeck_gateway.api_types.problem import MEDIA_TYPE, Problem

API = "/api/v1"
_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_.\[\]-]{0,79}): (?:got|expected|missing)")


def is_api(path: str) -> bool:
    """Whether a path belongs to the API whose errors are problem details."""
    return path == API or path.startswith(f"{API}/")


def message_response(path: str, message: str, status: int, reason: str = "") -> Response:
    """The response to a request for ``path`` that is not served; ``reason`` is a word for programs."""
    if not is_api(path):
        return JSONResponse({"s": "error", "errmsg": message}, status)
    title = HTTPStatus(status).phrase
    field = match[1] if status < 500 and (match := _FIELD.match(message)) else None
    problem = Problem(title, status, message, reason or title.replace(" ", ""), field=field)
    return Response(_ENCODED(problem), status, media_type=MEDIA_TYPE)


def error_response(path: str, error: TapedeckError) -> Response:
    """The response to a request for ``path`` that raised an error."""
    response = message_response(path, str(error), error.http_status, error.reason)
    if isinstance(error, TokenRequired):
        response.headers["www-authenticate"] = 'Bearer realm="tapedeck"'
    if isinstance(error, TooManyRequests):
        response.headers["retry-after"] = str(math.ceil(error.seconds))
    return response


_ENCODED = msgspec.json.Encoder().encode
