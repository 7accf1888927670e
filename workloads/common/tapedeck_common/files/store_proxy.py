"""A proxy on the loopback through which object stores are reached: it connects only to permitted addresses.

The library that reads objects resolves names and follows redirects by itself. Here each connection is checked after the
name is resolved, and made to the address that was checked.
"""

from __future__ import annotations

import hmac
import secrets
import selectors
import socket
from base64 import b64encode
from functools import cache
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from urllib.parse import urlsplit

from tapedeck_common.addresses import AddressRefused, EndpointPolicy
from tapedeck_common.logs import log
from tapedeck_crds.text import printable

HEAD_MAX = 65_536
CONNECT_SECONDS, IDLE_SECONDS = 10.0, 60.0
CHUNK = 262_144
USER = "tapedeck"
_ANSWER = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_OF_THE_PROXY = (b"proxy-", b"connection:")


class StoreProxy(ThreadingTCPServer):
    """Runs until the process ends. Others on the machine lack its password."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, policy: EndpointPolicy) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.policy = policy
        self.password = secrets.token_urlsafe(24)
        Thread(target=self.serve_forever, name="store-proxy", daemon=True).start()

    @property
    def options(self) -> dict[str, str | int]:
        """Its address, for S3FileSystem."""
        host, port = "127.0.0.1", int(self.server_address[1])
        return {"scheme": "http", "host": host, "port": port, "username": USER, "password": self.password}

    def handle_error(self, request: object, client_address: object) -> None:
        log.info("a connection to an object store ended", exc_info=True)


@cache
def store_proxy(policy: EndpointPolicy) -> StoreProxy:
    """The proxy of this process."""
    return StoreProxy(policy)


class _Connection(BaseRequestHandler):
    server: StoreProxy
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(IDLE_SECONDS)
        try:
            head, rest = _read_head(self.request)
            line, *fields = head.split(b"\r\n")
            method, target, version = line.decode("ascii").split(" ")
            if not _is_authorized(fields, self.server.password):
                raise ValueError("got another password than the proxy's")
            tunnel = method == "CONNECT"
            parts = urlsplit(f"//{target}" if tunnel else target)
            upstream = self._connect(parts.hostname or "", parts.port or (443 if tunnel else 80))
        except (OSError, ValueError) as error:
            log.warning("no connection to an object store", reason=printable(str(error)))
            is_refused = isinstance(error, AddressRefused | ValueError)
            self.request.sendall(_ANSWER % (b"403 Forbidden" if is_refused else b"502 Bad Gateway"))
            return
        with upstream:
            if tunnel:
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                own = [f for f in fields if not f.lower().startswith(_OF_THE_PROXY)] + [b"connection: close"]
                upstream.sendall(b"\r\n".join([f"{method} {path} {version}".encode(), *own]) + b"\r\n\r\n" + rest)
            _pump(self.request, upstream)

    def _connect(self, host: str, port: int) -> socket.socket:
        address, *_ = self.server.policy.connection_to(host, port)
        upstream = socket.create_connection((address, port), timeout=CONNECT_SECONDS)
        upstream.settimeout(IDLE_SECONDS)
        return upstream


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what arrived behind it. Raises ValueError and OSError."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(CHUNK)
        if not part or len(received) > HEAD_MAX:
            raise ValueError("got no whole request")
        received += part
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def _is_authorized(fields: list[bytes], password: str) -> bool:
    expected = b"basic " + b64encode(f"{USER}:{password}".encode())
    given = [field.partition(b":")[2].strip() for field in fields if field.lower().startswith(b"proxy-authorization:")]
    return len(given) == 1 and hmac.compare_digest(given[0][:6].lower() + given[0][6:], expected)


def _pump(client: socket.socket, upstream: socket.socket) -> None:
    """Pass on what either side sends until the store closes, or neither sends for IDLE_SECONDS. Raises OSError."""
    others = {client: upstream, upstream: client}
    with selectors.DefaultSelector() as selector:
        for each in others:
            selector.register(each, selectors.EVENT_READ)
        while ready := selector.select(IDLE_SECONDS):
            for key, _ in ready:
                side = key.fileobj
                assert isinstance(side, socket.socket)
                part = side.recv(CHUNK)
                if not part:
                    return
                others[side].sendall(part)
