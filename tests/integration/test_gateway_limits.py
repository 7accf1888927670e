"""Clients that hold connections open, and requests of any size: the gateway stays there for others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from pods.gateway import Gateway, running_gateway
from pods.raw_http import get_request, open_connection, read_to_end, send_raw
from pods.services import Services
from tapedeck_deck.embedded.deadline import Deadline
from waits import eventually, within

pytestmark = pytest.mark.usefixtures("schema")
HEADER_SECONDS, WRITE_SECONDS, BODY_SECONDS, KEEP_ALIVE_SECONDS = 1.5, 1.0, 1.0, 1.0
PER_CLIENT = 300
SPEC = {
    "limits": {
        "headerSeconds": HEADER_SECONDS,
        "writeSeconds": WRITE_SECONDS,
        "bodySeconds": BODY_SECONDS,
        "keepAliveSeconds": KEEP_ALIVE_SECONDS,
        "connectionsPerClient": PER_CLIENT,
        "requestsPerSecond": 100_000,
        "requestBurst": 100_000,
    }
}


@pytest.fixture(scope="module")
def limited(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with short times, for the tests of this file."""
    with running_gateway(tmp_path_factory.mktemp("limited"), services.connections(), json.dumps(SPEC)) as gateway:
        yield gateway


def has_no_connection(gateway: Gateway) -> None:
    """Wait until it has taken note that each connection has ended."""
    eventually(lambda: gateway.open_connections() == 0)


def test_half_open_requests_keep_nobody_out(limited: Gateway) -> None:
    sockets = [open_connection(limited.port) for _ in range(1_500)]
    try:
        with within(5):
            for number, each in enumerate(sockets):
                if number % 2:  # the others say nothing at all
                    try:
                        each.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-half: ")
                    except ConnectionError:
                        continue  # it has made room for a later one
            assert limited.get("/api/resolutions")[0] == 200
            assert limited.open_connections() < PER_CLIENT
        answers = [read_to_end(each, 60) for each in sockets]
        assert all(answer.closed for answer in answers)
        assert {answer.status for answer in answers} == {0, 408}
    finally:
        for each in sockets:
            each.close()
    has_no_connection(limited)


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"", b"G"),  # the request line
        (b"GET / HTTP/1.1\r\nhost: a\r\n", b"x: 1\r\n"),  # one header after the other
        (b"GET /api/resolutions HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", b"\r\n"),  # blank lines before the next request
        (b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n", b"x"),  # the body
    ],
)
def test_single_bytes_do_not_extend_the_deadline(limited: Gateway, begin: bytes, drop: bytes) -> None:
    with open_connection(limited.port) as connection:
        connection.sendall(begin)
        deadline = Deadline(KEEP_ALIVE_SECONDS + HEADER_SECONDS + 3)
        with pytest.raises(ConnectionError):
            while not deadline.passed():
                connection.sendall(drop)
                time.sleep(0.1)
    has_no_connection(limited)


HEAD = b"GET /api/resolutions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"


def test_a_header_of_any_size_is_refused(limited: Gateway) -> None:
    small = send_raw(limited.port, HEAD + b"x: " + b"a" * 15_000 + b"\r\n\r\n")
    assert small.status == 200
    for parts in (
        [HEAD, b"x: " + b"a" * 20_000 + b"\r\n\r\n"],  # one header
        [HEAD, b"x: 1\r\n" * 4_000, b"\r\n"],  # many
        [b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"],  # the path
        [HEAD, b"x: ", *[b"a" * 60_000] * 200],  # one that does not end: 12 MB
    ):
        answer = send_raw(limited.port, *parts)
        assert (answer.status, answer.closed) in ((431, True), (0, True))  # 0: closed while it was being sent
        assert answer.status == 431 or len(parts) > 100
    told = "request header: got over 16384 bytes, expected at most as many"
    large = b"x: " + b"a" * 20_000 + b"\r\n\r\n"
    answer = send_raw(limited.port, HEAD, large)
    assert (answer.headers["content-type"], json.loads(answer.body)) == (
        "application/json", {"s": "error", "errmsg": told},
    )  # fmt: skip
    answer = send_raw(limited.port, HEAD.replace(b"/api/resolutions", b"/api/v1/symbols?limit=1"), large)
    problem = json.loads(answer.body)
    assert (answer.headers["content-type"], problem["detail"], problem["status"]) == (
        "application/problem+json", told, 431,
    )  # fmt: skip


def test_a_body_of_any_size_is_refused(limited: Gateway) -> None:
    post = b"POST /api/resolutions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    for length in (b"1048577", b"9" * 18, b"9" * 40):
        answer = send_raw(limited.port, post + b"content-length: " + length + b"\r\n\r\n")
        assert answer.status in (413, 400)  # 400: more digits than HTTP's parser takes
        assert answer.closed
    chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    answer = send_raw(limited.port, post + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 200)
    assert answer.closed
    has_no_connection(limited)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
    ],
)
def test_what_is_not_http_is_refused(limited: Gateway, request_: bytes) -> None:
    answer = send_raw(limited.port, request_)
    assert (answer.status, answer.closed) == (400, True)
    headers = answer.headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
    assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")
    assert "Traceback" not in limited.log.read_text()


def test_a_client_that_does_not_read_is_disconnected(limited: Gateway) -> None:
    requests = 2_000
    request = get_request("/metrics").replace(b"connection: close\r\n", b"")
    with open_connection(limited.port, receive_buffer=4_096) as connection:
        connection.sendall(request * requests)
        has_no_connection(limited)
        answer = read_to_end(connection, 60)
    assert len(str(limited.get("/metrics")[1])) * requests > 6_000_000  # more than the buffers between the two take
    assert answer.closed
    assert answer.data.count(b"HTTP/1.1 200 OK") < requests
