"""uvicorn's WebSocket protocol, which ends a connection whose client does not read."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.server.read_deadline import ReadDeadline


class LimitedWebSocketProtocol(ReadDeadline, WebSocketsSansIOProtocol):
    """One WebSocket. ``limits`` are those of the server: see ``websocket_protocol``."""

    def pause_writing(self) -> None:
        super().pause_writing()
        self.expect_read()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.cancel_read_deadline()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.expect_read()

    def connection_lost(self, exc: Exception | None) -> None:
        self.cancel_read_deadline()
        super().connection_lost(exc)


def websocket_protocol(limits: GatewayLimits) -> type[LimitedWebSocketProtocol]:
    """The protocol of one server: uvicorn makes an object of the class for each connection."""
    return type("WebSocketProtocol", (LimitedWebSocketProtocol,), {"limits": limits})
