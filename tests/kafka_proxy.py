"""A proxy in front of a broker that answers as an older one does: its newest version of an API is capped."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer

API_VERSIONS, METADATA = 18, 3
NO_TOPIC_IDS = {METADATA: 9}  # topic ids are in Metadata from version 10 on


@contextmanager
def older_broker(bootstrap: str, newest: dict[int, int]) -> Iterator[str]:
    """The bootstrap address of a broker whose newest versions, by API key, are these at most."""
    host, port = bootstrap.rsplit(":", 1)

    class VersionCap(BaseRequestHandler):
        def handle(self) -> None:
            asked: dict[int, tuple[int, int]] = {}  # API key and version, by correlation id
            with socket.create_connection((host, int(port))) as broker:
                back = threading.Thread(target=self._answers, args=(broker, asked), daemon=True)
                back.start()
                while (frame := _frame(self.request)) is not None:
                    key, version, correlation = struct.unpack_from(">hhi", frame)
                    asked[correlation] = key, version
                    broker.sendall(struct.pack(">i", len(frame)) + frame)
                broker.shutdown(socket.SHUT_RDWR)
                back.join(10)

        def _answers(self, broker: socket.socket, asked: dict[int, tuple[int, int]]) -> None:
            while (frame := _frame(broker)) is not None:
                key, version = asked.pop(struct.unpack_from(">i", frame)[0])
                # Every address that the broker gives is the proxy's.
                frame = frame.replace(host.encode() + struct.pack(">i", int(port)), host.encode() + own_port)
                if key == API_VERSIONS:
                    frame = _capped(frame, version, newest)
                self.request.sendall(struct.pack(">i", len(frame)) + frame)

    class ProxyServer(ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with ProxyServer((host, 0), VersionCap) as server:
        own_port = struct.pack(">i", server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)


def _capped(frame: bytes, version: int, newest: dict[int, int]) -> bytes:
    """An ApiVersions response (correlation id, error, then key, least and newest version of each API) with the caps."""
    flexible = version >= 3
    first, step = (7, 7) if flexible else (10, 6)  # a compact array has a length of one byte, and tags in each element
    count = frame[6] - 1 if flexible else struct.unpack_from(">i", frame, 6)[0]
    changed = bytearray(frame)
    for place in range(first, first + count * step, step):
        key, _, most = struct.unpack_from(">hhh", frame, place)
        struct.pack_into(">h", changed, place + 4, min(most, newest.get(key, most)))
    return bytes(changed)


def _frame(source: socket.socket) -> bytes | None:
    """The next request or response without its length; None at the end of the connection."""
    head = _exactly(source, 4)
    return None if head is None else _exactly(source, struct.unpack(">i", head)[0])


def _exactly(source: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = source.recv(size - len(parts))
        except OSError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
