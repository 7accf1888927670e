"""Responses of all routes: JSON, errors by class, and security headers."""

from __future__ import annotations

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tapedeck_common.logs import log
from tapedeck_common.pod.shell import error_place
from tapedeck_crds.errors import TapedeckError, Unavailable
from tapedeck_gateway.access.error_response import error_response, message_response
from tapedeck_gateway.partial_response import PartialResponse

INTERNAL_ERROR = 1011
"""The WebSocket close code for an unexpected error of the server."""

# The style that lightweight-charts adds for its attribution logo; the browser test fails if it changes.
_LOGO_STYLE = "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"
_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self' {_LOGO_STYLE}; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def json_response(value: object, parts: PartialResponse | None = None) -> Response:
    """A response that msgspec encodes, several times faster than FastAPI's own encoding, with what ``parts`` say."""
    headers = parts.headers if parts is not None else {}
    return Response(msgspec.json.encode(value), media_type="application/json", headers=headers)


def install_error_responses(app: FastAPI) -> None:
    """Map errors to responses: TapedeckError by its ``http_status``, anything else to 500."""
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(TapedeckError, _tapedeck_error)
    app.add_middleware(UnexpectedErrors)


async def _invalid_parameter(_: Request, error: Exception) -> JSONResponse:
    """Name the parameter, its value and what was expected."""
    if not isinstance(error, RequestValidationError):
        raise error
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"][1:])
    if problem["type"] == "missing":
        return message_response(f"{name}: missing, expected a value", 400)
    expected = problem["msg"].removeprefix("Input should be ").split(",")[0]
    return message_response(f"{name}: got {str(problem['input'])[:80]!r}, expected {expected}", 400)


async def _tapedeck_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, TapedeckError):
        raise error
    if isinstance(error, Unavailable):
        log.warning("service unavailable", path=request.url.path, reason=str(error.__cause__ or error))
    return error_response(error)


class UnexpectedErrors:
    """Answers a request whose handler raised an error that is not a TapedeckError: 500, or close code 1011.

    Such an error is a bug of the gateway. It is logged with its place, and its text is not sent to the client.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            log.exception("unexpected error", path=scope.get("path", ""), place=error_place(error))
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": INTERNAL_ERROR})
            elif scope["type"] == "http" and not started:
                await message_response("internal error: the gateway's log has the details", 500)(scope, receive, send)
            else:
                raise


class SecurityHeaders:
    """Adds security headers to every response; only the page's hashed assets may be cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if scope["path"].startswith("/assets/") and message["status"] < 400:
                    headers["cache-control"] = "public, max-age=31536000, immutable"
                else:
                    headers["cache-control"] = "no-cache" if scope["path"] == "/" else "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers)
