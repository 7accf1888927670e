"""HTTPS on connections that count from the first packet: a handshake that does not end takes a place like any other."""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from ssl import SSLContext
from typing import ClassVar

from tapedeck_gateway.access.client_address import client_key
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.server.connection_table import ConnectionTable
from tapedeck_gateway.server.http_protocol import LimitedHttpProtocol


class TlsHttpProtocol(LimitedHttpProtocol):
    """One HTTPS connection. asyncio would show it to a protocol after the handshake only, so it is made here."""

    context: ClassVar[SSLContext]
    _encrypted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called with the client's connection, and then with the encrypted one on it."""
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        if self._encrypted:
            self.table.close(self)  # it is added again as one that waits for a request
            super().connection_made(transport)
        else:
            self._begin_handshake(transport)

    def _begin_handshake(self, plain: asyncio.Transport) -> None:
        self.transport = plain
        self.client_key = client_key((plain.get_extra_info("peername") or (None,))[0])
        if not self.table.open(self):
            plain.abort()  # there can be no response yet
            return
        ended: asyncio.Future[None] = self.loop.create_future()
        ended.add_done_callback(self._handshake_ended)
        encrypting = SSLProtocol(
            self.loop,
            self,
            self.context,
            ended,
            server_side=True,
            ssl_handshake_timeout=self.limits.header_seconds,  # type: ignore[arg-type]  # it is passed to call_later
        )
        plain.set_protocol(encrypting)
        encrypting.connection_made(plain)

    def _handshake_ended(self, ended: asyncio.Future[None]) -> None:
        ended.exception()  # a client's mistake
        if not self._encrypted:
            self.table.close(self)


def tls_protocol(limits: GatewayLimits, table: ConnectionTable, context: SSLContext) -> type[TlsHttpProtocol]:
    """As ``http_protocol``, with the certificate of ``context``."""
    return type("TlsProtocol", (TlsHttpProtocol,), {"limits": limits, "table": table, "context": context})
