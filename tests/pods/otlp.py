"""A receiver of OpenTelemetry's traces: OTLP over HTTP, decoded by the protocol's own types."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

Value = str | int | float | bool


@dataclass(frozen=True)
class ReceivedSpan:
    """A span with the attributes of its program; ids are hex, ``parent`` is empty for the first of a trace."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: int
    start: int
    end: int
    failure: str
    attributes: dict[str, Value]
    resource: dict[str, Value]


class TraceReceiver:
    """Keeps what it receives; ``paths`` are those of the requests."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.paths: set[str] = set()
        self._spans: list[ReceivedSpan] = []

    def receive(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        for of_program in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _values(of_program.resource.attributes)
            self._spans += [
                ReceivedSpan(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.kind,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.status.message,
                    _values(span.attributes),
                    resource,
                )
                for scope in of_program.scope_spans
                for span in scope.spans
            ]

    def spans(self) -> list[ReceivedSpan]:
        return list(self._spans)


def _values(attributes: Iterator[KeyValue]) -> dict[str, Value]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}


@contextmanager
def trace_receiver(port: int = 0) -> Iterator[TraceReceiver]:
    """A receiver on the loopback, on a free port unless one is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.receive(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver = TraceReceiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
