"""The form of an error in a response: UDF's."""

from __future__ import annotations

import math

from starlette.responses import JSONResponse

from tapedeck_crds.errors import TapedeckError
from tapedeck_gateway.access.errors import TokenRequired, TooManyRequests


def message_response(message: str, status: int) -> JSONResponse:
    """A response with a message."""
    return JSONResponse({"s": "error", "errmsg": message}, status)


def error_response(error: TapedeckError) -> JSONResponse:
    """The response to a request that raised an error."""
    response = message_response(str(error), error.http_status)
    if isinstance(error, TokenRequired):
        response.headers["www-authenticate"] = 'Bearer realm="tapedeck"'
    if isinstance(error, TooManyRequests):
        response.headers["retry-after"] = str(math.ceil(error.seconds))
    return response
