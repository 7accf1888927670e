"""The check that every request and every WebSocket passes before a route sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_gateway.access.audit import audited
from tapedeck_gateway.access.counted import client_of, counted_as
from tapedeck_gateway.access.errors import RequestDenied, TokenRequired, TooManyRequests
from tapedeck_gateway.access.hosts import Hosts, host_name, is_origin_allowed, is_own_address
from tapedeck_gateway.access.problems import error_response
from tapedeck_gateway.access.rate_limit import RateLimit
from tapedeck_gateway.access.refused import RefusedRequests
from tapedeck_gateway.access.request_slots import RequestSlots
from tapedeck_gateway.access.request_text import check_request_text
from tapedeck_gateway.access.tokens import ANONYMOUS, Grant, Tokens

READING = frozenset({"GET", "HEAD", "OPTIONS"})
PROBES = frozenset({"/healthz", "/readyz"})
INTERNAL = frozenset({"/metrics", "/status"})
"""Open to whoever addresses the pod itself, as Prometheus does; by another name they need a token."""
SUBPROTOCOL = "tapedeck.v1"
TOKEN_SUBPROTOCOL = "bearer."  # followed by the token, because a browser's WebSocket can send no header


@dataclass(frozen=True)
class Share:
    """What the requests that are counted under one name may use."""

    rate: RateLimit
    slots: RequestSlots


@dataclass(frozen=True)
class AccessPolicy:
    """Who may ask. ``is_public`` tells the paths of files that hold nothing private.

    ``own`` is the share of a client, ``foreign`` that of requests which pages of other sites make from its machine.
    """

    hosts: Hosts
    origins: frozenset[str]
    tokens: Tokens
    own: Share
    foreign: Share
    refused: RefusedRequests
    is_public: Callable[[str], bool]


class Guard:
    """Refuses what ``policy`` does not allow, and writes each accepted request for a change to the audit log.

    A route finds the holder of the token in ``request.state.grant``.
    """

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        grant = self._grant_of(connection)
        try:
            self._check(connection, grant)
        except TapedeckError as error:
            self._note_refused(scope, grant, error)
            await error_response(scope["path"], error)(scope, receive, send)
            return
        connection.state.grant = grant or ANONYMOUS
        if not is_control(scope):
            await self._serve(connection, receive, send)
            return
        async with audited(scope, grant or ANONYMOUS, client_of(scope), send) as audited_send:
            await self._serve(connection, receive, audited_send)

    async def _serve(self, connection: HTTPConnection, receive: Receive, send: Send) -> None:
        scope = connection.scope
        if scope["type"] == "websocket" or scope["path"] in PROBES:
            await self._app(scope, receive, send)  # a WebSocket stays; each of its messages has a slot
            return
        try:
            async with self._share_of(connection).slots.slot(counted_as(scope)):
                await self._app(scope, receive, send)
        except TooManyRequests as error:  # of the slots alone: the application answers its own errors
            await error_response(scope["path"], error)(scope, receive, send)

    def _check(self, connection: HTTPConnection, grant: Grant | None) -> None:
        scope = connection.scope
        own_address = str((scope.get("server") or ("",))[0])
        try:
            host = _check_host(connection.headers, self._policy.hosts, own_address)
            if scope["path"] in PROBES:
                return
            is_open = self._policy.is_public(scope["path"]) and not is_control(scope)
            if not is_open:
                _check_origin(connection.headers, self._policy.origins)
        except TapedeckError:
            _count(self._policy.foreign.rate, client_of(scope))
            raise
        _count(self._share_of(connection).rate, counted_as(scope, grant))
        check_request_text(scope)
        if is_open or (scope["path"] in INTERNAL and is_own_address(host, own_address) and not is_control(scope)):
            return
        self._check_grant(scope, grant)

    def _share_of(self, connection: HTTPConnection) -> Share:
        is_foreign = _is_foreign(connection.headers, self._policy.origins)
        return self._policy.foreign if is_foreign else self._policy.own

    def _note_refused(self, scope: Scope, grant: Grant | None, error: TapedeckError) -> None:
        if is_control(scope):
            who = (grant or ANONYMOUS).name
            self._policy.refused.note(who, client_of(scope), scope, error.http_status, time.monotonic())

    def _grant_of(self, connection: HTTPConnection) -> Grant | None:
        """What the client may do; None for one with a token that is not known, even where reading needs none."""
        token = _token_of(connection)
        if token is not None:
            return self._policy.tokens.grant_of(token)
        return None if self._policy.tokens.required else ANONYMOUS

    def _check_grant(self, scope: Scope, grant: Grant | None) -> None:
        if grant is None:
            or_none = "" if self._policy.tokens.required else ", or none: reading alone needs none"
            raise TokenRequired(
                f"token: got none that the gateway knows, expected `Authorization: Bearer <token>`{or_none}"
            )
        if is_control(scope) and not grant.may_control:
            if grant == ANONYMOUS and self._policy.tokens.any:
                raise TokenRequired("token: got none, expected one with the right to control: reading alone needs none")
            raise RequestDenied(f"token: got that of {grant.name!r}, expected one with the right to control")


def is_control(scope: Scope) -> bool:
    """Whether a request may change something. A WebSocket carries no controls."""
    return scope["type"] == "http" and scope["method"] not in READING


def subprotocol_of(scope: Scope) -> str | None:
    """The subprotocol to accept a WebSocket with: a browser that offers some expects one of them."""
    return SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None


def _count(rate: RateLimit, name: str) -> None:
    """Count a request. Raises TooManyRequests."""
    wait = rate.seconds_until_allowed(name, time.monotonic())
    if wait > 0:
        raise TooManyRequests(f"requests: expected fewer in a second; try again in {wait:.1f} s", wait)


def _check_host(headers: Headers, hosts: Hosts, own_address: str) -> str:
    given = headers.getlist("host")
    host = host_name(given[0]) if len(given) == 1 else None
    if host is None:
        raise InvalidInput(f"host: got {', '.join(given)[:80]!r}, expected one name or address")
    if not hosts.allow(host, own_address):
        raise RequestDenied(f"host: got {host[:80]!r}, expected a name of the gateway's; `hosts` lists them")
    return host


def _check_origin(headers: Headers, listed: frozenset[str]) -> None:
    """Pages of other origins may ask only if these are listed, whatever their browser would let them read."""
    origin = headers.get("origin")
    if origin is None:
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            raise RequestDenied("origin: got a page of another site, expected the gateway's own")
    elif not is_origin_allowed(origin, headers.get("host", ""), listed):
        raise RequestDenied(f"origin: got {origin[:80]!r}, expected the gateway's own; `origins` lists others")


def _is_foreign(headers: Headers, listed: frozenset[str]) -> bool:
    """Whether a page of another site makes this request, also where it may: for a public file, or by a link."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") in ("cross-site", "same-site")
    return not is_origin_allowed(origin, headers.get("host", ""), listed)


def _token_of(connection: HTTPConnection) -> bytes | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip().encode("latin-1", "replace")
    for offered in connection.scope.get("subprotocols", ()):
        if offered.startswith(TOKEN_SUBPROTOCOL):
            return str(offered).removeprefix(TOKEN_SUBPROTOCOL).encode()
    return None
