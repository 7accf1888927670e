"""A stop of the server while a WebSocket is closing, with real sockets."""

from __future__ import annotations

import asyncio
import base64
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from websockets.protocol import State

from tapedeck_common.quiet_server import QuietServer
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.server.websocket_protocol import LimitedWebSocketProtocol, websocket_protocol
from waits import eventually

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)
CLOSE = bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8])  # masked with zeros: 1000


async def talkative(scope: Any, receive: Any, send: Any) -> None:
    """Sends more than its client's system takes."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(1_000):
            await send({"type": "websocket.send", "text": "x" * 65_536})


def stalled(server: QuietServer) -> LimitedWebSocketProtocol | None:
    """The connection whose client does not read."""
    sockets = (each for each in list(server.server_state.connections) if isinstance(each, LimitedWebSocketProtocol))
    return next((each for each in sockets if not each.writable.is_set()), None)


def test_a_stop_ends_a_connection_whose_client_has_closed_it() -> None:
    """It is closing, and waits for its client to read what was sent before."""
    protocol = websocket_protocol(GatewayLimits(write_seconds=60))
    server = QuietServer(
        uvicorn.Config(talkative, port=0, log_config=None, lifespan="off", ws=protocol, timeout_graceful_shutdown=2)
    )
    with ThreadPoolExecutor(1) as threads:
        serving = threads.submit(lambda: asyncio.run(server.serve()))
        try:
            eventually(lambda: server.started)
            with socket.create_connection(server.servers[0].sockets[0].getsockname()[:2]) as client:
                client.sendall(HANDSHAKE)
                connection = eventually(lambda: stalled(server))
                client.sendall(CLOSE)
                eventually(lambda: connection.conn.state is State.CLOSING)
                assert connection.transport.is_closing()
                assert not connection.close_sent
                server.should_exit = True
                assert serving.exception(60) is None
        finally:
            server.should_exit = True
