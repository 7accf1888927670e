"""What a client may hold open of a pod's probes: any user of the machine reaches those of a deck."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pods.raw_http import get_request, open_connection, read_to_end, send_raw
from tapedeck_common import quiet_server
from tapedeck_common.pod.probe_server import ProbeServer
from tapedeck_common.quiet_server import CONNECTIONS
from tapedeck_common.settings import PodSettings
from tapedeck_crds.report import Report

BODY_BEGINS = b"POST /control HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{"


@pytest.fixture
def probes() -> Iterator[ProbeServer]:
    with ProbeServer(PodSettings(), report=Report, control=lambda _: None) as server:
        yield server


@pytest.mark.parametrize("begun", [b"", b"GET /metrics HTTP/1.1\r\nx: ", BODY_BEGINS])
def test_idle_connections_keep_nobody_out(probes: ProbeServer, begun: bytes) -> None:
    with ExitStack() as held:
        for _ in range(3 * CONNECTIONS):
            connection = held.enter_context(open_connection(probes.port))
            connection.sendall(begun)
        assert send_raw(probes.port, get_request("/healthz")).status == 200
        assert len(probes._server.server_state.connections) <= CONNECTIONS


@pytest.mark.parametrize("begun", [b"", b"GET /metrics HTTP/1.1\r\nx: ", BODY_BEGINS])
def test_a_request_that_does_not_end_is_ended(
    monkeypatch: pytest.MonkeyPatch, probes: ProbeServer, begun: bytes
) -> None:
    monkeypatch.setattr(quiet_server, "ANSWER_SECONDS", 0.3)
    with open_connection(probes.port) as connection:
        connection.sendall(begun)
        assert read_to_end(connection, 30).closed


def test_a_header_of_any_size_is_refused(probes: ProbeServer) -> None:
    answer = send_raw(probes.port, b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: ", b"a" * 100_000)
    assert answer.closed
    assert answer.status in (400, 0)  # 0: closed while it was being sent


def test_requests_on_one_connection_are_answered(monkeypatch: pytest.MonkeyPatch, probes: ProbeServer) -> None:
    """Its time begins again with each response."""
    monkeypatch.setattr(quiet_server, "ANSWER_SECONDS", 1.0)
    request = get_request("/healthz").replace(b"connection: close\r\n", b"")
    with open_connection(probes.port) as connection:
        for _ in range(4):
            connection.sendall(request)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            with pytest.raises(TimeoutError):
                _wait(connection, 0.4)


def _wait(connection: socket.socket, seconds: float) -> None:
    connection.settimeout(seconds)
    connection.recv(1)
