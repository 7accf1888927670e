"""Line protocol, the meaning of a sink's HTTP status codes, and the handling of rejected points."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pods.signatures import RESULTS_KEY
from tapedeck_common.result_signatures import ResultVerifier
from tapedeck_common.settings import Connections
from tapedeck_crds.sink import RecorderOptions, SinkOptions
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.services import recorder_options
from tapedeck_recorder.sinks.http_client import LineProtocolClient, PointsRejected, SinkUnreachable
from tapedeck_recorder.sinks.line_protocol import nanos_within_ms
from tapedeck_recorder.sinks.sink_delivery import REJECTED_IN_A_ROW, SinkDelivery

Response = tuple[int, str, dict[str, str]]


class SinkServer(ThreadingHTTPServer):
    """Answers each POST with ``respond`` of its lines; records every request."""

    daemon_threads = True

    def __init__(self, respond: Callable[[list[str]], Response]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.respond = respond
        self.posts: list[list[str]] = []
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/write?db=x"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: SinkServer

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["content-length"])).decode().split("\n")
        self.server.posts.append(lines)
        self.server.requests.append((self.path, self.headers.get("authorization", "")))
        status, text, headers = self.server.respond(lines)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(respond: Callable[[list[str]], Response]) -> Iterator[SinkServer]:
    with SinkServer(respond) as store:
        threading.Thread(target=store.serve_forever, args=(0.02,), daemon=True).start()
        yield store
        store.shutdown()


def delivery(store: SinkServer, folder: Path) -> SinkDelivery:
    sink = SinkOptions(name="s", url=store.url)
    return SinkDelivery(Connections(), ResultVerifier(RESULTS_KEY), sink, folder, threading.Event())


def test_status_codes(tmp_path: Path) -> None:
    responses: list[Response] = [
        (204, "", {}),
        (400, '{"error":"partial write: points beyond retention policy dropped=2"}', {}),
        (400, "cannot parse", {}),
        (413, "too large", {}),
        (503, "busy", {"retry-after": "7"}),
        (401, "who are you", {}),
        (302, "", {"location": "/elsewhere"}),
    ]
    with serving(lambda _: responses.pop(0)) as store:
        client = LineProtocolClient(store.url, tmp_path)
        assert client.write(["a", "b"]) == 0
        assert client.write(["a", "b"]) == 2
        for _ in range(2):
            with pytest.raises(PointsRejected):
                client.write(["a"])
        with pytest.raises(SinkUnreachable, match="503: busy") as busy:
            client.write(["a"])
        assert busy.value.retry_after == 7
        (tmp_path / "authorization").write_text("Token abc\n")
        for reason in ("401: who", "302"):
            with pytest.raises(SinkUnreachable, match=reason):
                client.write(["a"])
        assert store.requests == [("/write?db=x", "")] * 5 + [("/write?db=x", "Token abc")] * 2
        client.close()
    with pytest.raises(SinkUnreachable, match=r"127\.0\.0\.1"):
        client.write(["a"])


def test_rejected_points_are_isolated_by_bisection(tmp_path: Path) -> None:
    accepted: list[str] = []

    def respond(lines: list[str]) -> Response:
        if any("bad" in line for line in lines):
            return 400, "no", {}
        accepted.extend(lines)
        return 204, "", {}

    lines = [f"bad{i}" if i in (3, 400, 999) else f"good{i}" for i in range(1_000)]
    with serving(respond) as store:
        sink = delivery(store, tmp_path)
        sink._post(lines)
        assert accepted == [line for line in lines if "bad" not in line]
        report = sink.report()
        assert (report.delivered, report.refused, report.up) == (997, 3, True)
        assert len(store.posts) < 70, "points were posted one by one instead of in halves"


def test_a_sink_that_rejects_everything_counts_as_unreachable_and_no_point_is_skipped(tmp_path: Path) -> None:
    with serving(lambda _: (400, "no such table", {})) as store:
        sink = delivery(store, tmp_path)
        with pytest.raises(SinkUnreachable, match=r"rejected 100 points in a row: .* no such table"):
            sink._post([f"p{i}" for i in range(5_000)])
        assert len(store.posts) < 3 * REJECTED_IN_A_ROW
        assert sink.report().delivered == 0


def test_trades_of_one_millisecond_get_distinct_nanoseconds() -> None:
    assert [nanos_within_ms(name, 0) for name in ("7", "123456789", "0000000")] == [7, 456_789, 0]
    assert nanos_within_ms("a-1", 0) == zlib.crc32(b"a-1") % 1_000_000
    assert nanos_within_ms("²", 0) == zlib.crc32("²".encode()) % 1_000_000
    in_order = [nanos_within_ms(name, seq) for seq, name in enumerate(("f63e", "0c1a", "9b2d"), 1)]
    assert in_order == sorted(in_order)


VALID = {"name": "a", "url": "http://h/write"}


@pytest.mark.parametrize(
    ("sinks", "named"),
    [
        ([VALID | {"url": "ftp://h/x"}], "sinks.0.url"),
        ([VALID | {"url": "http://user:pw@h/x"}], "file authorization"),
        ([VALID | {"url": "http:///x"}], "expected an address"),
        ([VALID | {"url": "http://h/a b"}], "expected an address"),
        ([VALID | {"name": "A_b"}], "sinks.0.name"),
        ([VALID | {"records": ["candles"]}], "sinks.0.records.0"),
        ([VALID | {"records": []}], "sinks.0.records"),
        ([VALID | {"token": "x"}], "sinks.0.token"),
        ([VALID, VALID], "repeated: a"),
        ([VALID | {"name": f"a{i}"} for i in range(9)], "at most 8"),
    ],
)
def test_invalid_options_are_named(sinks: list[Any], named: str) -> None:
    with pytest.raises(ValidationError) as error:
        RecorderOptions.model_validate_json(json.dumps({"sinks": sinks}))
    assert named in str(error.value)


def test_sinks_from_the_file_of_an_embedded_deck(tmp_path: Path) -> None:
    file = tmp_path / "sinks.yaml"
    assert recorder_options(file).sinks == ()
    file.write_text("- name: quest\n  url: http://127.0.0.1:9000/write\n  records: [bars, results]\n")
    (sink,) = recorder_options(file).sinks
    assert (sink.name, sink.records) == ("quest", ("bars", "results"))
    parsed = RecorderOptions.model_validate_json(recorder_options(file).model_dump_json(by_alias=True))
    assert parsed.sinks == (sink,)
    for invalid in ("- name: quest\n", "sinks: []", "- [", "\x00"):
        file.write_text(invalid)
        with pytest.raises(DeckError, match=r"sinks\.yaml"):
            recorder_options(file)
