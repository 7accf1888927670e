"""Who may ask the gateway for what: hosts, origins, tokens, rates, and what it says of itself in headers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from pods.gateway import Gateway, running_gateway
from pods.gateway_fuzz import attack, routes
from pods.raw_http import RawResponse, get_request, send_raw
from pods.services import Services
from tapedeck_deck.embedded import processes
from waits import eventually

pytestmark = pytest.mark.usefixtures("schema")
PATHS = [re.sub(r"\{\w+\}", "x", path) for path in routes()]
DOCUMENTATION = (  # the same for everybody
    "/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs.css",
    "/api/v1/asyncapi.json", "/docs/websocket", "/docs/websocket.css",
)  # fmt: skip
PRIVATE = [path for path in PATHS if path not in ("/healthz", "/readyz", "/metrics", "/status", *DOCUMENTATION)]
UPGRADE = ("upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==")
UNLIMITED = {"requestsPerSecond": 10_000, "requestBurst": 100_000}  # a tenth for pages of other sites
LISTED, ORIGIN = "deck.example", "http://localhost:5173"
READ, CONTROL = "reader-" + "r" * 32, "operator-" + "c" * 32


@pytest.fixture(scope="module")
def open_gateway(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway on loopback without tokens, as a deck has it."""
    spec = json.dumps({"hosts": [LISTED], "origins": [ORIGIN], "limits": UNLIMITED})
    with running_gateway(
        tmp_path_factory.mktemp("open"), services.connections(role="tapedeck_reader"), spec
    ) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def token_gateway(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with tokens."""
    spec = json.dumps({"hosts": [LISTED], "origins": [ORIGIN], "limits": {**UNLIMITED, "socketsPerClient": 3}})
    tokens = {"page.read": READ, "ops.control": CONTROL}
    folder = tmp_path_factory.mktemp("tokens")
    with running_gateway(folder, services.connections(role="tapedeck_reader"), spec, tokens=tokens) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def reading_gateway(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway as a deck has it: reading needs no token, a change does."""
    spec, tokens = json.dumps({"openReading": True}), {"ops.control": CONTROL}
    folder = tmp_path_factory.mktemp("reading")
    with running_gateway(folder, services.connections(role="tapedeck_reader"), spec, tokens=tokens) as gateway:
        yield gateway


def ask(gateway: Gateway, path: str, *headers: str, host: str = "127.0.0.1", method: str = "GET") -> RawResponse:
    return send_raw(gateway.port, get_request(path, *headers, host=host, method=method), seconds=30)


def errmsg(answer: RawResponse) -> str:
    said = json.loads(answer.body)
    return str(said.get("errmsg") or said["detail"])


def bearer(token: str) -> str:
    return f"authorization: Bearer {token}"


def socket(gateway: Gateway, **options: Any) -> ClientConnection:
    client: ClientConnection = connect(f"ws://127.0.0.1:{gateway.port}/api/v1/ws", open_timeout=60, **options)
    return client


def refused(gateway: Gateway, **options: Any) -> int:
    """The status with which a WebSocket is refused."""
    with pytest.raises(InvalidStatus) as raised, socket(gateway, **options):
        pass
    return int(raised.value.response.status_code)


def test_a_rebound_name_reads_nothing(open_gateway: Gateway) -> None:
    foreign = f"evil.example:{open_gateway.port}"
    for path in [*PATHS, "/", "/assets/x.js", "/nothing"]:
        answer = ask(open_gateway, path, host=foreign)
        assert (path, answer.status) == (path, 403)
        assert errmsg(answer).startswith("host: got 'evil.example', expected a name of the gateway's")
    # The page of that name is of the same origin as what it asks for.
    assert ask(open_gateway, "/api/runs", f"origin: http://{foreign}", host=foreign).status == 403
    for host in ("localhost", f"LOCALHOST:{open_gateway.port}", "127.0.0.1:1", "[::1]:80", LISTED, f"{LISTED}:443"):
        assert ask(open_gateway, "/api/runs", host=host).status == 200
    for head in (b"GET /api/runs HTTP/1.0\r\n\r\n", get_request("/api/runs", "host: evil.example")):
        answer = send_raw(open_gateway.port, head)
        assert answer.status == 400
        assert errmsg(answer).startswith("host: got ")
    assert ask(open_gateway, "/api/v1/ws", *UPGRADE, host=foreign).status == 403
    assert ask(open_gateway, "/api/v1/ws", *UPGRADE, host="localhost").status == 101


def test_other_origins_are_refused_unless_they_are_listed(open_gateway: Gateway) -> None:
    own = f"http://127.0.0.1:{open_gateway.port}"
    for origin in ("http://evil.example", "null", "http://localhost:5174", "https://127.0.0.1.evil.example"):
        for path in PRIVATE:
            answer = ask(open_gateway, path, f"origin: {origin}")
            assert (path, answer.status) == (path, 403)
            assert "access-control-allow-origin" not in answer.headers
        assert refused(open_gateway, origin=Origin(origin)) == 403
    for headers in (["sec-fetch-site: cross-site", "sec-fetch-mode: no-cors"], ["sec-fetch-site: same-site"]):
        assert ask(open_gateway, "/api/runs", *headers).status == 403
    assert ask(open_gateway, "/api/runs", "sec-fetch-site: cross-site", "sec-fetch-mode: navigate").status == 200

    for path in ("/api/runs", "/config", "/time"):  # REST and UDF
        answer = ask(open_gateway, path, f"origin: {ORIGIN}")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert "x-tapedeck-missing" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    answer = ask(open_gateway, "/history?symbol=x&resolution=1&to=9", f"origin: {ORIGIN}")  # an error can be read, too
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    with socket(open_gateway, origin=Origin(ORIGIN)), socket(open_gateway, origin=Origin(own)):
        pass


def test_a_browsers_question_about_an_origin(open_gateway: Gateway, token_gateway: Gateway) -> None:
    asked = ("access-control-request-method: GET", "access-control-request-headers: authorization")
    for gateway in (open_gateway, token_gateway):  # the question carries no token
        answer = ask(gateway, "/api/runs", f"origin: {ORIGIN}", *asked, method="OPTIONS")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        answer = ask(gateway, "/api/runs", "origin: http://evil.example", *asked, method="OPTIONS")
        assert answer.status == 400
        assert "access-control-allow-origin" not in answer.headers


def test_every_route_needs_a_token(token_gateway: Gateway) -> None:
    for path in [*PRIVATE, "/nothing", "/assets"]:
        for headers in ([], [bearer("wrong" * 5)], ["authorization: Bearer \xff"], ["authorization: Basic eDp5"]):
            answer = ask(token_gateway, path, *headers)
            assert (path, answer.status, answer.headers["www-authenticate"]) == (path, 401, 'Bearer realm="tapedeck"')
    for token in (READ, CONTROL):
        assert ask(token_gateway, "/api/runs", bearer(token)).status == 200
        assert ask(token_gateway, "/api/runs", bearer(token), f"origin: {ORIGIN}").status == 200
        assert ask(token_gateway, "/api/runs", bearer(token), "origin: http://evil.example").status == 403
    for path in ("/", "/healthz", "/readyz", *DOCUMENTATION):
        assert ask(token_gateway, path).status in (200, 503)  # 503: the page is not built
    for path in ("/metrics", "/status"):  # to a scraper, which knows the pod's address alone
        assert ask(token_gateway, path, host=f"127.0.0.1:{token_gateway.port}").status == 200
        assert ask(token_gateway, path, host=LISTED).status == 401


def test_a_websocket_needs_a_token(token_gateway: Gateway) -> None:
    def offered(token: str) -> dict[str, Any]:
        return {"subprotocols": [Subprotocol("tapedeck.v1"), Subprotocol(f"bearer.{token}")]}

    assert refused(token_gateway) == 401
    assert refused(token_gateway, **offered("wrong" * 5)) == 401
    assert refused(token_gateway, **offered(READ), origin=Origin("http://evil.example")) == 403
    with (
        socket(token_gateway, **offered(READ)) as first,
        socket(token_gateway, **offered(CONTROL), origin=Origin(ORIGIN)),
        socket(token_gateway, additional_headers={"Authorization": f"Bearer {READ}"}) as third,
        socket(token_gateway, **offered(READ)),
    ):
        assert (first.subprotocol, third.subprotocol) == ("tapedeck.v1", None)
        assert refused(token_gateway, **offered(READ)) == 503  # three of one holder
    eventually(lambda: b"\n0 sockets" in b"\n" + ask(token_gateway, "/status").body.replace(b'"', b"\n"))


def test_a_wrong_token_is_refused_where_none_is_needed(open_gateway: Gateway, reading_gateway: Gateway) -> None:
    wrong = "wrong" * 5
    for gateway in (open_gateway, reading_gateway):
        for path in (
            "/api/runs",
            "/api/v1/runs",
            "/config",
            "/history?symbol=x&resolution=1&to=9",
            "/quotes",
        ):  # UDF too
            for headers in ([bearer(wrong)], ["authorization: Bearer "], [bearer(f"{CONTROL}x")]):
                answer = ask(gateway, path, *headers)
                assert (path, answer.status, answer.headers["www-authenticate"]) == (
                    path,
                    401,
                    'Bearer realm="tapedeck"',
                )
                assert errmsg(answer).endswith(
                    "expected `Authorization: Bearer <token>`, or none: reading alone needs none"
                )
            assert ask(gateway, path).status == 200
            assert ask(gateway, path, "authorization: Basic eDp5").status == 200  # a proxy's
        for address in ("/api/v1/ws", "/api/ohlcvs"):
            offered = f"sec-websocket-protocol: tapedeck.v1, bearer.{wrong}"
            assert ask(gateway, address, *UPGRADE, offered).status == 401
            assert ask(gateway, address, *UPGRADE, bearer(wrong)).status == 401
            assert ask(gateway, address, *UPGRADE, "sec-websocket-protocol: tapedeck.v1").status == 101
        assert ask(gateway, "/readyz", bearer(wrong)).status == 200
        assert ask(gateway, "/api/v1/openapi.json", bearer(wrong)).status == 200
    assert ask(reading_gateway, "/api/v1/runs", bearer(CONTROL)).status == 200


def test_only_a_control_token_changes_something_and_that_is_logged(token_gateway: Gateway) -> None:
    def audit() -> list[dict[str, Any]]:
        lines = [line for line in token_gateway.log.read_text().rpartition("\n")[0].splitlines() if '"audit"' in line]
        return [json.loads(line) for line in lines]

    for method, path in (
        ("POST", "/api/replays/x"),
        ("DELETE", "/api/runs/x?a=b%0A"),
        ("PATCH", "/"),
        ("PUT", "/api/v1/ws"),
    ):
        before = len(audit())
        assert ask(token_gateway, path, method=method).status == 401
        answer = ask(token_gateway, path, bearer(READ), method=method)
        assert (answer.status, errmsg(answer)) == (
            403,
            "token: got that of 'page', expected one with the right to control",
        )
        done = ask(token_gateway, path, bearer(CONTROL), method=method).status
        assert done in (404, 405)  # no route changes anything
        eventually(lambda before=before: len(audit()) > before)  # type: ignore[misc]  # written after an answer
        seen = [(each["who"], each["client"], each["method"], each["path"]) for each in audit()[before:]]
        assert seen == [("ops", "127.0.0.1", method, path.partition("?")[0])]  # what is refused is counted alone
        assert audit()[-1]["status"] == done
    assert all(each["timestamp"] for each in audit())
    log = token_gateway.log.read_text()
    assert READ not in log
    assert CONTROL not in log


def test_without_tokens_nothing_can_be_changed(open_gateway: Gateway) -> None:
    assert ask(open_gateway, "/api/runs", method="POST").status == 403


def test_a_token_that_is_removed_is_no_longer_valid(services: Services, tmp_path: Path) -> None:
    def headers(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    with (
        running_gateway(tmp_path, services.connections(), tokens={"a.read": READ, "b.read": CONTROL}) as gateway,
        socket(gateway, additional_headers=headers(READ)) as removed,
        socket(gateway, additional_headers=headers(CONTROL)) as kept,
    ):
        (tmp_path / "tokens" / "a.read").unlink()
        eventually(lambda: ask(gateway, "/api/runs", bearer(READ)).status == 401, timeout=20)
        assert ask(gateway, "/api/runs", bearer(CONTROL)).status == 200
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                removed.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "the token is no longer valid")
        kept.ping().wait(20)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_loopback_it_does_not_start_without_tokens(services: Services, tmp_path: Path, host: str) -> None:
    environment = {**os.environ, "TAPEDECK_HTTP_HOST": host, "TAPEDECK_CONNECTIONS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tapedeck_gateway"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 64
    assert f"tokens: got none, expected a folder with some because the gateway listens on {host}" in done.stderr


def test_a_client_that_asks_too_often_waits(services: Services, tmp_path: Path) -> None:
    spec = json.dumps({"limits": {"requestsPerSecond": 2, "requestBurst": 10}})
    with running_gateway(tmp_path, services.connections(), spec) as gateway:
        answers = [ask(gateway, "/api/resolutions") for _ in range(15)]
        refused = [answer for answer in answers if answer.status == 429]
        assert {answer.status for answer in answers} == {200, 429}
        assert refused[0].headers["retry-after"] == "1"
        assert errmsg(refused[0]).startswith("requests: expected fewer in a second; try again in ")
        assert ask(gateway, "/readyz").status == 200  # the kubelet's question is not counted
        time.sleep(3)
        with socket(gateway) as client:  # its messages count, too: they wait
            began = time.monotonic()
            for _ in range(8):
                client.send("{")
            errors = 0
            while errors < 8:
                errors += json.loads(client.recv(timeout=60))["type"] == "error"
            assert time.monotonic() - began > 0.5


def test_refused_changes_fill_no_log(services: Services, tmp_path: Path) -> None:
    """From a page of another site, which neither uses up the owner's share of the same machine."""
    spec, tokens = json.dumps({"openReading": True}), {"ops.control": CONTROL}
    with running_gateway(tmp_path, services.connections(), spec, tokens=tokens) as gateway:
        before, path = gateway.log.stat().st_size, "/api/replays/" + "x" * 900
        answers = [ask(gateway, path, "origin: http://evil.example", method="POST").status for _ in range(700)]
        assert set(answers) == {403, 429}
        assert ask(gateway, "/api/resolutions").status == 200
        assert ask(gateway, "/api/resolutions", bearer(CONTROL)).status == 200
        assert gateway.log.stat().st_size == before
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines() if '"refused changes"' in line]
    assert [(each["who"], each["client"], each["requests"]) for each in lines] == [("anonymous", "127.0.0.1", 700)]


def test_every_answer_has_the_security_headers(open_gateway: Gateway) -> None:
    answers = [ask(open_gateway, path) for path in [*PATHS, "/", "/nothing", "/history?symbol=%00"]]
    answers += [
        ask(open_gateway, "/api/runs", host="evil.example"),
        ask(open_gateway, "/api/v1/ws"),
        ask(open_gateway, "/", method="POST"),
    ]
    for answer in answers:
        headers = answer.headers
        assert "default-src 'none'" in headers["content-security-policy"]
        framed = headers["content-security-policy"].partition("frame-ancestors ")[2]
        assert (framed, headers.get("x-frame-options")) in ((ORIGIN, None), ("'none'", "DENY"))
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert headers["cache-control"] in ("no-store", "no-cache")
        assert "server" not in headers
    assert ask(open_gateway, "/api/runs").headers["cache-control"] == "no-store"
    policies = {
        path: ask(open_gateway, path).headers["content-security-policy"] for path in ("/", "/run/x", "/api/runs")
    }
    assert [path for path, policy in policies.items() if policy.endswith(f"frame-ancestors {ORIGIN}")] == ["/"]


def test_hostile_requests_are_answered(open_gateway: Gateway, token_gateway: Gateway) -> None:
    assert attack(open_gateway.port, seed=1, count=300) == []
    assert attack(token_gateway.port, 2, 50, bearer(READ)) == []
    for gateway in (open_gateway, token_gateway):
        assert "Traceback" not in gateway.log.read_text(), processes.tail(gateway.log)


@pytest.mark.attack
def test_many_hostile_requests_are_answered(open_gateway: Gateway) -> None:
    assert attack(open_gateway.port, seed=time.time_ns(), count=5_000) == []
    assert "Traceback" not in open_gateway.log.read_text()
