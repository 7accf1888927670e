"""The number of open WebSockets, in all and of each client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import WebSocket
from prometheus_client import Counter, Gauge

from tapedeck_gateway.access.counted import counted_as
from tapedeck_gateway.access.problems import message_response
from tapedeck_gateway.context import GatewayContext

_sockets = Gauge("tapedeck_gateway_sockets", "Open WebSockets.")
_refused = Counter("tapedeck_gateway_refused_sockets_total", "WebSockets that were refused because too many are open.")


async def refuse_socket(socket: WebSocket, context: GatewayContext) -> bool:
    """Refuse a socket beyond the limits; returns whether it was refused."""
    limits, sockets, key = context.options.limits, context.open_sockets, counted_as(socket.scope)
    if sockets.total() < limits.sockets and sockets[key] < limits.sockets_per_client:
        return False
    _refused.inc()
    at_most = f"{limits.sockets_per_client} of one client, {limits.sockets} in all"
    response = message_response(socket.url.path, f"sockets: expected at most {at_most}; try again", 503)
    await response(socket.scope, socket.receive, socket.send)
    return True


@contextmanager
def counted_socket(socket: WebSocket, context: GatewayContext) -> Iterator[None]:
    """Count an accepted socket while the block runs."""
    sockets, key = context.open_sockets, counted_as(socket.scope)
    sockets[key] += 1
    _sockets.set(sockets.total())
    try:
        yield
    finally:
        sockets[key] -= 1
        if not sockets[key]:
            del sockets[key]
        _sockets.set(sockets.total())
