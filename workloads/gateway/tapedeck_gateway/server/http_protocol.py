"""uvicorn's HTTP protocol, with limits on time and size that uvicorn does not have.

uvicorn waits without end for the rest of a request and for a client that does not read its response, and takes headers
and bodies of any size. An ASGI application sees none of that: it is called once the header is complete.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import ClassVar

from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tapedeck_gateway.access.client_address import client_key
from tapedeck_gateway.access.problems import message_response
from tapedeck_gateway.access.security_headers import SECURITY_HEADERS
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.server.connection_table import ConnectionTable
from tapedeck_gateway.server.read_deadline import ReadDeadline

_SECURITY_LINES = "".join(f"{name}: {value}\r\n" for name, value in SECURITY_HEADERS.items())
HEADER_OVERHEAD_BYTES = 4  # of a header's line: colon, blank and the line's end

_refused = Counter(
    "tapedeck_gateway_invalid_requests_total", "Requests that were not valid HTTP or too large.", ["code"]
)


class _Refusal(Exception):
    """The request must not be read further. httptools passes no exception on; the protocol keeps the reason."""


class LimitedHttpProtocol(ReadDeadline, HttpToolsProtocol):
    """One HTTP connection. ``limits`` and ``table`` are those of the server: see ``http_protocol``."""

    table: ClassVar[ConnectionTable]
    client_key = ""
    _deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _head_continues = False  # in all of the bytes that are being parsed
    _head_bytes = 0  # of the parsed lines
    _unparsed_bytes = 0  # received since a head began that is not complete
    _body_bytes = 0
    _refusal: tuple[int, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client_key = client_key(self.client[0] if self.client else None)
        if self.table.open(self):
            self._expect_request(self.limits.header_seconds)
        else:
            self._refuse(503, "connections: expected fewer at a time; try again")

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def drop(self) -> None:
        """End the connection without a response."""
        self.transport.abort()

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            self.expect_read()

    # What arrives

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._head_continues = self._in_head
        super().data_received(data)
        if self._head_continues and not self.transport.is_closing():
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > self.limits.header_bytes:
                self._refuse(431, self._head_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_continues = True, False
        self._head_bytes = self._unparsed_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count_head(len(name) + len(value) + HEADER_OVERHEAD_BYTES)

    def on_headers_complete(self) -> None:
        self._in_head = self._head_continues = False
        for name, value in self.headers:
            if name == b"content-length" and _number(value) > self.limits.body_bytes:
                self._end_parsing(413, self._body_too_large())
        self._expect_request(self.limits.body_seconds)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self.limits.body_bytes:
            self._end_parsing(413, self._body_too_large())
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel_deadline()
            self.table.answer(self)

    def send_400_response(self, msg: str) -> None:
        """Answer what can't be parsed, or what a callback of the parser refused."""
        status, message = self._refusal or (400, "request: expected valid HTTP/1.1")
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
        else:
            self._refuse(status, message)

    def handle_websocket_upgrade(self) -> None:
        self._forget()
        super().handle_websocket_upgrade()

    # What is sent

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self.expect_read()
        elif self.cycle.response_complete:  # of the last request that was read
            self.table.wait(self)
            # The whole time until the next request's header: single bytes do not extend it.
            self._expect_request(self.timeout_keep_alive + self.limits.header_seconds)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self.expect_read()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.expect_read()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.cancel_read_deadline()

    # Deadlines and refusals

    def _expect_request(self, seconds: float) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        if self.cycle is not None and self.cycle.response_started:
            self.transport.abort()
        else:
            self._refuse(408, "request: expected it to be complete earlier")

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget(self) -> None:
        self._cancel_deadline()
        self.cancel_read_deadline()
        self.table.close(self)

    @property
    def _path(self) -> str:
        """The path of the request that is being read, as far as it is known: the form of an error follows from it."""
        target: bytes = getattr(self, "url", b"")
        return target.partition(b"?")[0].decode("latin-1")

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > self.limits.header_bytes:
            self._end_parsing(431, self._head_too_large())

    def _end_parsing(self, status: int, message: str) -> None:
        self._refusal = (status, message)
        raise _Refusal

    def _head_too_large(self) -> str:
        return f"request header: got over {self.limits.header_bytes} bytes, expected at most as many"

    def _body_too_large(self) -> str:
        return f"request body: got over {self.limits.body_bytes} bytes, expected at most as many"

    def _refuse(self, status: int, message: str) -> None:
        """Answer with an error and close: nothing more is read."""
        _refused.labels(status).inc()
        response = message_response(self._path, message, status)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            f"content-type: {response.media_type}\r\n"
            f"content-length: {len(response.body)}\r\n"
            "cache-control: no-store\r\n"
            f"{_SECURITY_LINES}"
            "connection: close\r\n\r\n"
        )
        self._cancel_deadline()
        self.transport.write(head.encode() + response.body)
        self.transport.close()
        self.expect_read()


def http_protocol(limits: GatewayLimits, table: ConnectionTable) -> type[LimitedHttpProtocol]:
    """The protocol of one server: uvicorn makes an object of the class for each connection."""
    return type("HttpProtocol", (LimitedHttpProtocol,), {"limits": limits, "table": table})


def _number(digits: bytes) -> float:
    """The value of a Content-Length; infinite where it has more digits than any that could be accepted."""
    return int(digits) if digits.isdigit() and len(digits) < 19 else float("inf")
