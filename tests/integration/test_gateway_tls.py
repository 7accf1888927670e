"""HTTPS: the gateway's own certificate, and connections whose handshake does not end."""

from __future__ import annotations

import json
import shutil
import ssl
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect

from pods.gateway import running_gateway
from pods.raw_http import open_connection, read_to_end, send_raw
from pods.services import Services
from secured.services import Authority
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.server.certificate import Certificate
from waits import eventually, within

pytestmark = pytest.mark.usefixtures("schema")
HEADER_SECONDS = 1.0


def issue(folder: Path) -> Path:
    """A new authority and a certificate of it for loopback."""
    folder.mkdir(exist_ok=True)
    for name, text in Authority(folder).server("localhost").items():
        (folder / name).write_text(text)
    return folder


def serial_number(port: int, authority: Path) -> str:
    context = ssl.create_default_context(cafile=authority / "ca.crt")
    with open_connection(port) as plain, context.wrap_socket(plain, server_hostname="localhost") as secure:
        certificate = secure.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def test_https_with_a_certificate_that_is_renewed(services: Services, tmp_path: Path) -> None:
    tls, renewed = issue(tmp_path / "tls"), issue(tmp_path / "renewed")
    spec = json.dumps({"limits": {"headerSeconds": HEADER_SECONDS}})
    with running_gateway(tmp_path, services.connections(), spec, tls=tls) as gateway:
        assert gateway.get("/api/resolutions")[0] == 200
        with connect(gateway.url.replace("http", "ws") + "/api/v1/ws", ssl=gateway.authority):
            pass
        assert send_raw(gateway.port, b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").status == 0  # no HTTP without TLS

        with open_connection(gateway.port) as half_open:
            half_open.sendall(b"\x16\x03\x01\x02\x00")  # the beginning of a handshake
            with within(15):
                assert read_to_end(half_open, 60).closed

        before = serial_number(gateway.port, tls)
        for name in ("ca.crt", "tls.crt", "tls.key"):
            shutil.copy(renewed / name, tls / name)

        def has_changed() -> bool:
            try:
                return serial_number(gateway.port, tls) != before
            except ssl.SSLError:
                return False

        eventually(has_changed, timeout=20)


def test_handshakes_that_do_not_end_keep_nobody_out(services: Services, tmp_path: Path) -> None:
    limits = {"connections": 20, "connectionsPerClient": 10, "headerSeconds": 600}
    spec = json.dumps({"limits": limits})
    with running_gateway(tmp_path, services.connections(), spec, tls=issue(tmp_path / "tls")) as gateway:
        with ExitStack() as stack:
            waiting = [stack.enter_context(open_connection(gateway.port)) for _ in range(40)]
            for each in waiting[::2]:  # the others say nothing at all
                with suppress(ConnectionError):  # it has made room for a later one
                    each.sendall(b"\x16\x03\x01\x02\x00")  # the beginning of a handshake
            assert gateway.get("/api/resolutions")[0] == 200
            assert gateway.open_connections() < 10
            assert all(read_to_end(each, 20).closed for each in waiting[:30])
            last = waiting[-1]
            last.sendall(b"no handshake at all" * 20)
            assert read_to_end(last, 20).closed
        eventually(lambda: gateway.open_connections() == 0)


def test_a_certificate_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"tls: got .*none, expected tls\.crt and tls\.key"):
        Certificate(tmp_path / "none")
    (tmp_path / "tls.crt").write_text("x")
    (tmp_path / "tls.key").write_text("y")
    with pytest.raises(InvalidInput, match=r"tls: got "):
        Certificate(tmp_path)
