"""Serving an application until a stop."""

from __future__ import annotations

import asyncio
import resource
import socket

import uvicorn
from fastapi import FastAPI

from tapedeck_common.logs import log
from tapedeck_common.quiet_server import QuietServer
from tapedeck_gateway.options import MESSAGE_BYTES, GatewayLimits, GatewayOptions
from tapedeck_gateway.server.certificate import Certificate
from tapedeck_gateway.server.connection_table import ConnectionTable
from tapedeck_gateway.server.http_protocol import http_protocol
from tapedeck_gateway.server.tls_protocol import tls_protocol
from tapedeck_gateway.server.websocket_protocol import websocket_protocol

OWN_FILES = 200  # the process's own: broker, database, libraries, the page
BACKLOG = 1_024


async def serve(
    app: FastAPI, listener: socket.socket, options: GatewayOptions, certificate: Certificate | None
) -> None:
    """Serve until SIGTERM or SIGINT, which uvicorn handles; HTTPS with a certificate."""
    limits = options.limits
    table = ConnectionTable(_connections(limits), limits.connections_per_client)
    if certificate is None:
        http: type[asyncio.Protocol] = http_protocol(limits, table)
    else:
        http = tls_protocol(limits, table, certificate.context)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="error",  # a client's mistakes are counted, not logged
        access_log=False,
        http=http,
        ws=websocket_protocol(limits),
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,  # it would take time and memory for each client, and messages are small
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_keep_alive=limits.keep_alive_seconds,  # type: ignore[arg-type]  # uvicorn passes it to call_later
        timeout_graceful_shutdown=2,
        server_header=False,
        proxy_headers=bool(options.trusted_proxies),
        forwarded_allow_ips=options.trusted_proxies,
        backlog=BACKLOG,
    )
    refreshing = None if certificate is None else asyncio.create_task(certificate.keep_fresh())
    try:
        await QuietServer(config).serve(sockets=[listener])
    finally:
        if refreshing is not None:
            refreshing.cancel()


def _connections(limits: GatewayLimits) -> int:
    """The number of HTTP connections that there are files for, beside the sockets; at most ``limits.connections``."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return limits.connections
    possible = max(10, min(limits.connections, hard - limits.sockets - OWN_FILES))
    if possible < limits.connections:
        log.warning("fewer connections than configured: the limit of open files", connections=possible, files=hard)
    return possible
