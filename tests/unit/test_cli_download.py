"""Files behind URLs: from a real server with TLS, within limits, and without a secret in any message."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from layouts.small_files import HEADER, ROWS
from secured.services import Authority
from tapedeck_deck.cli.imports import download as downloads
from tapedeck_deck.cli.imports.download import Download, shown
from tapedeck_deck.cli.imports.paths import listed
from tapedeck_deck.cli.object_store import ObjectStore
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.inspection.inspect import Declared, look


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, _, _ = self.path.partition("?")
        if path == "/data/BTCUSD-1m.csv":
            self._answer(200, (HEADER + ROWS).encode())
        elif path == "/moved":
            self._answer(302, b"", location="/data/BTCUSD-1m.csv")
        elif path == "/plain":
            self._answer(302, b"", location="http://localhost:1/a.csv")
        elif path == "/round":
            self._answer(302, b"", location="/round")
        elif path == "/endless":
            self._answer(200, b"1" * 200_000)
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: the test's output is its own."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("authority")
    Authority(folder).server("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    running = ThreadingHTTPServer(("localhost", 0), Server)
    running.socket = context.wrap_socket(running.socket, server_side=True)
    thread = Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"localhost:{running.server_port}", folder / "ca.crt"
    running.shutdown()
    running.server_close()
    thread.join(timeout=30)


@pytest.fixture
def host(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("SSL_CERT_FILE", str(server[1]))
    monkeypatch.setenv("HOME", str(tmp_path))
    return server[0]


def test_a_file_behind_a_url_is_read_like_one_of_this_machine(host: str, tmp_path: Path) -> None:
    download = Download(tmp_path)
    for path in ("/data/BTCUSD-1m.csv?token=secret", "/moved"):
        name = str(download.fetch(f"https://{host}{path}"))
        looked = look(listed([name]), Declared({}, exchange="x"))
        assert [each.counted.rows for each in looked.found] == [3]
    assert [each.symbols for each in look(listed([str(tmp_path / "1")]), Declared({})).found] == [["BTC/USD"]]


REFUSED = {
    "/nothing": "got the answer 404, expected a file",
    "/plain": "got a redirect to http, expected https",
    "/round": "Exceeded maximum allowed redirects",
    "/endless": "got more than 100000 bytes, expected at most",
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_refused(host: str, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "BYTES_MAX", 100_000)
    with pytest.raises(DeckError) as caught:
        Download(tmp_path).fetch(f"https://me:its-password@{host}{path}?token=its-token")
    assert REFUSED[path] in str(caught.value)
    assert "its-" not in str(caught.value)


def test_a_certificate_that_is_not_known_is_refused(server: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DeckError, match=r"https://localhost:\d+/data.*certificate"):
        Download(tmp_path).fetch(f"https://{server[0]}/data/BTCUSD-1m.csv")


@pytest.mark.parametrize("url", ["http://example.com/a.csv", "file:///etc/passwd", "ftp://me:its-password@host/a"])
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DeckError, match="expected https://, s3:// or gs://") as caught:
        Download(tmp_path).fetch(url)
    assert "its-password" not in str(caught.value)


def test_a_url_is_shown_without_its_secrets() -> None:
    assert shown("https://me:word@example.com:8443/a/b.csv?X-Amz-Signature=1#x") == "https://example.com:8443/a/b.csv"


@pytest.mark.parametrize("url", ["s3://", "s3://bucket", "s3:///key", "s3://Bucket/key", "gs://a b/key"])
def test_a_url_of_no_object(url: str) -> None:
    with pytest.raises(DeckError, match=r"expected (s3|gs)://bucket/key"):
        ObjectStore(url)


@pytest.mark.parametrize("key", ["a/../../etc/passwd", "/etc/passwd", "../x"])
def test_a_key_never_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    assert (tmp_path / downloads._safe(key)).resolve().is_relative_to(tmp_path.resolve())
