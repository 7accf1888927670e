"""Responses of all routes: JSON, errors by class, and security headers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tapedeck_common.logs import log
from tapedeck_common.pod.shell import error_place
from tapedeck_crds.errors import InvalidInput, TapedeckError, Unavailable
from tapedeck_gateway.access.problems import error_response, is_api, message_response
from tapedeck_gateway.access.security_headers import POLICY, SECURITY_HEADERS
from tapedeck_gateway.partial_response import PartialResponse

UNEXPECTED = "internal error: the gateway's log has the details"
INTERNAL_ERROR = 1011
"""The WebSocket close code for an unexpected error of the server."""


def json_response(value: object, parts: PartialResponse | None = None) -> Response:
    """A response that msgspec encodes, several times faster than FastAPI's own encoding, with what ``parts`` say."""
    headers = parts.headers if parts is not None else {}
    return Response(msgspec.json.encode(value), media_type="application/json", headers=headers)


def install_error_responses(app: FastAPI) -> None:
    """Map errors to responses: TapedeckError by its ``http_status``, anything else to 500."""
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(TapedeckError, _tapedeck_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(UnexpectedErrors)


async def _invalid_parameter(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return message_response(request.url.path, parameter_problem(error), 400, InvalidInput.reason)


def parameter_problem(error: RequestValidationError) -> str:
    """The parameter, its value and what was expected."""
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"][1:])
    if problem["type"] == "missing":
        return f"{name}: missing, expected a value"
    expected = problem["msg"].removeprefix("Input should be ").split(",")[0]
    return f"{name}: got {str(problem['input'])[:80]!r}, expected {expected}"


async def _tapedeck_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, TapedeckError):
        raise error
    log_unavailable(request, error)
    return error_response(request.url.path, error)


def log_unavailable(request: Request, error: TapedeckError) -> None:
    """Log why a service could not be used."""
    if isinstance(error, Unavailable):
        log.warning("service unavailable", path=request.url.path, reason=str(error.__cause__ or error))


def log_unexpected(path: str, error: Exception) -> None:
    """Log a bug of the gateway with its place."""
    log.exception("unexpected error", path=path, place=error_place(error))


async def _http_error(request: Request, error: Exception) -> Response:
    """What no route answers: below /api/v1 it has the form of its other errors."""
    if not isinstance(error, HTTPException):
        raise error
    if not is_api(request.url.path):
        return await http_exception_handler(request, error)
    messages = {
        404: f"path: got {request.url.path[:80]!r}, expected one that /api/v1/openapi.json lists",
        405: f"method: got {request.method}, expected one that /api/v1/openapi.json lists",
    }
    response = message_response(request.url.path, messages.get(error.status_code, error.detail), error.status_code)
    response.headers.update(error.headers or {})
    return response


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
            log_unexpected(scope.get("path", ""), error)
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": INTERNAL_ERROR})
            elif scope["type"] == "http" and not started:
                await message_response(scope["path"], UNEXPECTED, 500)(scope, receive, send)
            else:
                raise


class SecurityHeaders:
    """Adds security headers to every response; only the page's hashed assets and what a route says may be cached.

    Pages of ``origins`` may show the Deck in a frame. Browsers that know the policy's frame-ancestors obey it alone.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._framed = f"{POLICY}{' '.join(origins)}" if origins else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                if self._framed and scope["path"] == "/":
                    headers["content-security-policy"] = self._framed
                    del headers["x-frame-options"]
                if scope["path"].startswith("/assets/") and message["status"] < 400:
                    headers["cache-control"] = "public, max-age=31536000, immutable"
                else:
                    headers.setdefault("cache-control", "no-cache" if scope["path"] == "/" else "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
