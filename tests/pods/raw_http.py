"""Requests byte by byte, as no well-behaved client sends them."""

from __future__ import annotations

import socket
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class RawResponse:
    """What came back until the server closed or switched protocols, or until nothing more came in time."""

    data: bytes
    closed: bool

    @property
    def status(self) -> int:
        """The status of the first response; 0 where there is none."""
        return int(self.data.split(b" ", 2)[1]) if self.data.startswith(b"HTTP/1.1 ") else 0

    @property
    def headers(self) -> dict[str, str]:
        """By name in small letters; the last of several."""
        lines = self.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]


def open_connection(port: int, *, receive_buffer: int | None = None, source: str = "") -> socket.socket:
    """A connection, by default with the system's buffers, from an address of this machine."""
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        connection.bind((source, 0))
    connection.settimeout(30)
    connection.connect((HOST, port))
    return connection


def read_to_end(connection: socket.socket, seconds: float) -> RawResponse:
    """Read until the server closes the connection or switches protocols, with waits of at most so long."""
    connection.settimeout(seconds)
    data = b""
    try:
        while chunk := connection.recv(65_536):
            data += chunk
            if data.startswith(b"HTTP/1.1 101 ") and b"\r\n\r\n" in data:
                return RawResponse(data, False)
    except TimeoutError:
        return RawResponse(data, False)
    except ConnectionError:
        pass
    return RawResponse(data, True)


def send_raw(port: int, *parts: bytes, seconds: float = 30.0) -> RawResponse:
    """Send some bytes and read the answer. A server that closes before all is sent has answered, too."""
    with open_connection(port) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except ConnectionError:
            pass
        return read_to_end(connection, seconds)


def get_request(path: str, *headers: str, host: str = HOST, method: str = "GET") -> bytes:
    """A whole request without a body, after which the server closes."""
    connection = "upgrade" if any(header.startswith("upgrade:") for header in headers) else "close"
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", f"connection: {connection}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
