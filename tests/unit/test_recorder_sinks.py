"""Line protocol, what another store's answers mean, and what becomes of points that it refuses."""

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

from tapedeck_common.settings import Connections
from tapedeck_crds.sink import RecorderOptions, SinkOptions
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.services import recorder_options
from tapedeck_recorder.sinks.delivery import REFUSED_IN_A_ROW, Delivery
from tapedeck_recorder.sinks.http_client import Away, Refused, Remote
from tapedeck_recorder.sinks.line_protocol import place_of

Answer = tuple[int, str, dict[str, str]]


class Store(ThreadingHTTPServer):
    """Answers each POST by ``say`` of its lines; keeps what it was sent."""

    daemon_threads = True

    def __init__(self, say: Callable[[list[str]], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.say = say
        self.posts: list[list[str]] = []
        self.seen: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/write?db=x"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Store

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["content-length"])).decode().split("\n")
        self.server.posts.append(lines)
        self.server.seen.append((self.path, self.headers.get("authorization", "")))
        status, text, headers = self.server.say(lines)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(say: Callable[[list[str]], Answer]) -> Iterator[Store]:
    with Store(say) as store:
        threading.Thread(target=store.serve_forever, args=(0.02,), daemon=True).start()
        yield store
        store.shutdown()


def delivery(store: Store, folder: Path) -> Delivery:
    return Delivery(Connections(), SinkOptions(name="s", url=store.url), folder, threading.Event())


def test_answers(tmp_path: Path) -> None:
    answers: list[Answer] = [
        (204, "", {}),
        (400, '{"error":"partial write: points beyond retention policy dropped=2"}', {}),
        (400, "cannot parse", {}),
        (413, "too large", {}),
        (503, "busy", {"retry-after": "7"}),
        (401, "who are you", {}),
        (302, "", {"location": "/elsewhere"}),
    ]
    with serving(lambda _: answers.pop(0)) as store:
        remote = Remote(store.url, tmp_path)
        assert remote.write(["a", "b"]) == 0
        assert remote.write(["a", "b"]) == 2
        for _ in range(2):
            with pytest.raises(Refused):
                remote.write(["a"])
        with pytest.raises(Away, match="503: busy") as busy:
            remote.write(["a"])
        assert busy.value.after == 7
        (tmp_path / "authorization").write_text("Token abc\n")
        for said in ("401: who", "302"):
            with pytest.raises(Away, match=said):
                remote.write(["a"])
        assert store.seen == [("/write?db=x", "")] * 5 + [("/write?db=x", "Token abc")] * 2
        remote.close()
    with pytest.raises(Away, match=r"127\.0\.0\.1"):
        remote.write(["a"])


def test_points_that_are_refused_are_told_apart_from_the_rest(tmp_path: Path) -> None:
    taken: list[str] = []

    def say(lines: list[str]) -> Answer:
        if any("bad" in line for line in lines):
            return 400, "no", {}
        taken.extend(lines)
        return 204, "", {}

    lines = [f"bad{i}" if i in (3, 400, 999) else f"good{i}" for i in range(1_000)]
    with serving(say) as store:
        one = delivery(store, tmp_path)
        one._post(lines)
        assert taken == [line for line in lines if "bad" not in line]
        said = one.report()
        assert (said.delivered, said.refused, said.up) == (997, 3, True)
        assert len(store.posts) < 70, "halved, not one by one"


def test_a_store_that_refuses_everything_is_away_and_nothing_is_passed_over(tmp_path: Path) -> None:
    with serving(lambda _: (400, "no such table", {})) as store:
        one = delivery(store, tmp_path)
        with pytest.raises(Away, match=r"takes none of 100 points: .* no such table"):
            one._post([f"p{i}" for i in range(5_000)])
        assert len(store.posts) < 3 * REFUSED_IN_A_ROW
        assert one.report().delivered == 0


def test_trades_of_a_millisecond_have_places_of_their_own() -> None:
    assert [place_of(name) for name in ("7", "123456789", "0000000")] == [7, 456_789, 0]
    assert place_of("a-1") == zlib.crc32(b"a-1") % 1_000_000
    assert place_of("²") == zlib.crc32("²".encode()) % 1_000_000


GOOD = {"name": "a", "url": "http://h/write"}


@pytest.mark.parametrize(
    ("sinks", "named"),
    [
        ([GOOD | {"url": "ftp://h/x"}], "sinks.0.url"),
        ([GOOD | {"url": "http://user:pw@h/x"}], "file authorization"),
        ([GOOD | {"url": "http:///x"}], "expected an address"),
        ([GOOD | {"url": "http://h/a b"}], "expected an address"),
        ([GOOD | {"name": "A_b"}], "sinks.0.name"),
        ([GOOD | {"records": ["candles"]}], "sinks.0.records.0"),
        ([GOOD | {"records": []}], "sinks.0.records"),
        ([GOOD | {"token": "x"}], "sinks.0.token"),
        ([GOOD, GOOD], "repeated: a"),
        ([GOOD | {"name": f"a{i}"} for i in range(9)], "at most 8"),
    ],
)
def test_wrong_options_are_named(sinks: list[Any], named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RecorderOptions.model_validate_json(json.dumps({"sinks": sinks}))
    assert named in str(refused.value)


def test_a_decks_file(tmp_path: Path) -> None:
    file = tmp_path / "sinks.yaml"
    assert recorder_options(file).sinks == ()
    file.write_text("- name: quest\n  url: http://127.0.0.1:9000/write\n  records: [bars, results]\n")
    (sink,) = recorder_options(file).sinks
    assert (sink.name, sink.records) == ("quest", ("bars", "results"))
    told = RecorderOptions.model_validate_json(recorder_options(file).model_dump_json(by_alias=True))
    assert told.sinks == (sink,)
    for wrong in ("- name: quest\n", "sinks: []", "- [", "\x00"):
        file.write_text(wrong)
        with pytest.raises(DeckError, match=r"sinks\.yaml"):
            recorder_options(file)
