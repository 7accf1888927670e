"""An HTTP server on the loopback that answers what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Asked:
    """A request: its path below /api/v1, the last value of each parameter, the JSON of its body, its headers."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """An answer: a pyarrow.Table is sent as a stream, bytes as they are, anything else as JSON."""

    content: Any
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, str]:
        """The body and its type."""
        if isinstance(self.content, pa.Table):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, self.content.schema) as writer:
                writer.write_table(self.content)
            return sink.getvalue().to_pybytes(), ARROW
        if isinstance(self.content, bytes):
            return self.content, self.content_type
        return json.dumps(self.content).encode(), self.content_type


Route: TypeAlias = Callable[[Asked], Any]
"""What answers a request: an Answer, or the content of one with status 200."""


class AnsweringServer:
    """Routes by method and path, such as ``GET /bars``; a path that ends with * has all that begin so."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.asked: list[Asked] = []
        self.url = ""

    def on(self, route: str, answer: Any) -> None:
        """Answer a route: with this, or with what this function returns."""
        self.routes[route] = answer if callable(answer) else lambda _: answer

    def asked_for(self, method: str, path: str) -> list[Asked]:
        """The requests of a route so far."""
        return [each for each in self.asked if (each.method, each.path) == (method, path)]

    def answer(self, asked: Asked) -> Answer:
        """The answer of the route; problem details where there is none."""
        self.asked.append(asked)
        name = f"{asked.method} {asked.path}"
        routes = [route for key, route in self.routes.items() if key == name]
        routes += [route for key, route in self.routes.items() if key.endswith("*") and name.startswith(key[:-1])]
        if not routes:
            return problem(404, f"path: got {asked.path}, expected another", "NotFound")
        found = routes[0](asked)
        return found if isinstance(found, Answer) else Answer(found)


def problem(status: int, detail: str, reason: str = "", name: str = "", **headers: str) -> Answer:
    """Problem details of RFC 9457."""
    content = {"type": "about:blank", "title": "Problem", "status": status, "detail": detail, "reason": reason}
    content |= {"field": name} if name else {}
    return Answer(content, status, "application/problem+json", {n.replace("_", "-"): v for n, v in headers.items()})


@contextmanager
def answering_server() -> Iterator[AnsweringServer]:
    """A server for the time of a test."""
    server = AnsweringServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("content-length") or 0)
            text = self.rfile.read(length)
            asked = Asked(
                self.command,
                unquote(url.path).removeprefix("/api/v1"),
                {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()},
                json.loads(text) if text else None,
                {name.lower(): value for name, value in self.headers.items()},
            )
            answer = server.answer(asked)
            body, content_type = answer.encoded() if answer.status != 204 else (b"", "text/plain")
            self.send_response(answer.status)
            for name, value in {"content-type": content_type, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join(5)
