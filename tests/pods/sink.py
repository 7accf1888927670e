"""A sink that takes every line of line protocol."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def line_protocol_server() -> Iterator[tuple[str, list[bytes]]]:
    """The URL of a sink, and the lines that it received."""
    lines: list[bytes] = []

    class SinkHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            lines.extend(self.rfile.read(int(self.headers["content-length"])).splitlines())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), SinkHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/write", lines
        finally:
            server.shutdown()
            thread.join(60)
