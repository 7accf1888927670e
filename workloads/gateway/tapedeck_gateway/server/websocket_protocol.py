"""uvicorn's WebSocket protocol, which ends a connection whose client does not read, and sends without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.push.session import FRAME_WRITER
from tapedeck_gateway.server.read_deadline import ReadDeadline

BUFFER_BYTES = 16_384  # of a client that does not read, beside what the system buffers


class LimitedWebSocketProtocol(ReadDeadline, WebSocketsSansIOProtocol):
    """One WebSocket. ``limits`` are those of the server: see ``websocket_protocol``.

    It is the ``FrameWriter`` of a session: an ASGI application would wait for each message in a task of its own, which
    costs several times as much as sending it.
    """

    on_writable: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=BUFFER_BYTES)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            cast(dict[str, object], self.scope["extensions"])[FRAME_WRITER] = self

    def pause_writing(self) -> None:
        super().pause_writing()
        self.expect_read()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.cancel_read_deadline()
        if self.on_writable is not None:
            self.on_writable()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.expect_read()

    def shutdown(self) -> None:
        """Close for a stop of the server, also where the client's close frame has arrived: uvicorn would fail then."""
        try:
            super().shutdown()
        except InvalidState:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.cancel_read_deadline()
        super().connection_lost(exc)

    @property
    def is_writable(self) -> bool:
        """Whether the client takes what is sent; False once the connection is lost or closing."""
        return self.writable.is_set() and not self._is_closing

    @property
    def is_stalled(self) -> bool:
        """Whether an open connection waits for its client to read."""
        return not self.writable.is_set() and not self._is_closing

    @property
    def _is_closing(self) -> bool:
        return self.close_sent or self.disconnected or self.transport.is_closing()

    async def wait_writable(self) -> None:
        """Wait until the client reads, or the connection is closed: at the read deadline, it is."""
        await self.writable.wait()

    def write_text(self, text: bytes) -> None:
        """Send a text frame now; nothing, once the connection is closing."""
        if self._is_closing:
            return
        try:
            self.conn.send_text(text)
        except InvalidState:  # the client's close frame has arrived
            return
        self.transport.write(b"".join(self.conn.data_to_send()))

    def close_with(self, code: int, reason: str) -> None:
        """Send a close frame after what was sent before, as uvicorn does, but without waiting for the client to read.

        ``pause_writing`` has set the time until which it must read all of it.
        """
        if self._is_closing:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.writable.set()  # nothing more is sent: who waits for the client to read can end
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)


def websocket_protocol(limits: GatewayLimits) -> type[LimitedWebSocketProtocol]:
    """The protocol of one server: uvicorn makes an object of the class for each connection."""
    return type("WebSocketProtocol", (LimitedWebSocketProtocol,), {"limits": limits})
