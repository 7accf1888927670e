"""HTTP statuses of errors: a client's mistake is told from a bug of the gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from psycopg import errors
from psycopg_pool import PoolTimeout
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tapedeck_common.settings import Connections
from tapedeck_crds.errors import Conflict, InvalidInput, NotFound, Unavailable
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.app import make_app
from tapedeck_gateway.context import GatewayContext
from tapedeck_gateway.options import GatewayOptions
from tapedeck_gateway.push.protocol.requests import REQUESTS, decode_request
from tapedeck_gateway.routes import responses

URL = "http://127.0.0.1"
Logged = list[tuple[str, dict[str, Any]]]


class Log:
    """Collects log lines instead of writing them."""

    def __init__(self) -> None:
        self.lines: Logged = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **keys: self.lines.append((event, {"level": level, **keys}))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Logged:
    log = Log()
    monkeypatch.setattr(responses, "log", log)
    return log.lines


def context(pool: Any) -> GatewayContext:
    """The context of an application with nothing but a pool."""
    missing: Any = None
    return GatewayContext(GatewayOptions(), pool, *[missing] * 9)


def client_of(error: Exception) -> TestClient:
    """A client of the gateway's own application, in which one more route raises an error."""
    app: FastAPI = make_app(Connections(), GatewayOptions(), Tokens(None), lambda: None)

    def fail() -> None:
        raise error

    for path in ("/fail", "/api/v1/fail"):
        app.add_api_route(path, fail)
        app.router.routes.insert(0, app.router.routes.pop())  # before the page's files, which match every path
    return TestClient(app, URL)


@pytest.mark.parametrize(
    ("error", "status"),
    [(InvalidInput("a: got b"), 400), (NotFound("a: got b"), 404), (Conflict("a: got b"), 409)],
)
def test_an_error_of_the_tree_has_the_status_of_its_class(error: Exception, status: int, logged: Logged) -> None:
    response = client_of(error).get("/fail")
    assert response.status_code == status
    assert response.json() == {"s": "error", "errmsg": "a: got b"}
    assert response.headers["x-frame-options"] == "DENY"
    assert logged == []


def test_an_error_of_the_api_is_a_problem(logged: Logged) -> None:
    """By RFC 9457, section 3.1; the type about:blank has the phrase of the status as its title."""
    client = client_of(InvalidInput("a: got b, expected c"))
    response = client.get("/api/v1/fail")
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert response.json() == {
        "title": "Bad Request", "status": 400, "detail": "a: got b, expected c", "reason": "InvalidInput", "field": "a",
    }  # fmt: skip
    for path, method, status, title in [
        ("/api/v1/nothing", "GET", 404, "Not Found"),
        ("/api/v1/bars", "OPTIONS", 405, "Method Not Allowed"),
        ("/api/v1/bars", "DELETE", 403, "Forbidden"),
    ]:
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (answer.json()["status"], answer.json()["title"]) == (status, title)
    assert client.get("/nothing").headers["content-type"] == "application/json"
    assert logged == []


def test_an_unavailable_service_is_503_and_logged_with_its_cause(logged: Logged) -> None:
    error = Unavailable("the database does not answer; try again")
    error.__cause__ = psycopg.OperationalError("connection refused")
    response = client_of(error).get("/fail")
    assert (response.status_code, response.json()["errmsg"]) == (503, "the database does not answer; try again")
    assert logged == [("service unavailable", {"level": "warning", "path": "/fail", "reason": "connection refused"})]


@pytest.mark.parametrize(
    ("error", "answers", "status", "told"),
    [
        (
            errors.QueryCanceled(),
            True,
            504,
            "query: got no result within 15 s; ask for a shorter range or for fewer rows",
        ),
        (
            PoolTimeout(),
            True,
            503,
            "the database is busy: none of the gateway's connections was free in time; try again",
        ),
        (PoolTimeout(), False, 503, "the database does not answer; try again"),
        (errors.DiskFull(), True, 503, "the database cannot answer now (DiskFull); try again"),
        (errors.AdminShutdown(), True, 503, "the database does not answer; try again"),
        (
            psycopg.OperationalError("server closed the connection"),
            True,
            503,
            "the database does not answer; try again",
        ),
    ],
)
def test_each_cause_is_told_as_itself(error: Exception, answers: bool, status: int, told: str, logged: Logged) -> None:
    class FailingPool:
        query_seconds, database_answers = 15.0, answers

        def connection(self) -> None:
            raise error

    app = make_app(Connections(), GatewayOptions(), Tokens(None), lambda: None)
    app.state.context = context(FailingPool())
    response = TestClient(app, URL).get("/api/latest?exchange=a")
    assert (response.status_code, response.json()["errmsg"]) == (status, told)
    assert [event for event, _ in logged] == ["service unavailable"]


@pytest.mark.parametrize("error", [ValueError("a secret"), KeyError("a secret"), psycopg.DataError("a secret")])
def test_an_unexpected_error_is_500_and_logged_with_its_place(error: Exception, logged: Logged) -> None:
    class BrokenPool:
        def connection(self) -> None:
            raise error

    app = make_app(Connections(), GatewayOptions(), Tokens(None), lambda: None)
    app.state.context = context(BrokenPool())
    response = TestClient(app, URL).get("/api/latest?exchange=a")
    assert response.status_code == 500
    assert response.json() == {"s": "error", "errmsg": "internal error: the gateway's log has the details"}
    assert response.headers["x-frame-options"] == "DENY"
    ((event, keys),) = logged
    assert (event, keys["level"], keys["path"]) == ("unexpected error", "exception", "/api/latest")
    file, line = keys["place"].split(":")
    assert file == "tapedeck_gateway/store/pool.py"
    assert int(line) > 0


def test_an_unexpected_error_of_a_websocket_closes_it(logged: Logged) -> None:
    client = TestClient(make_app(Connections(), GatewayOptions(), Tokens(None), lambda: None), URL)
    # Without its lifespan the application has no context, which no route expects.
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("ws://127.0.0.1/api/v1/ws"):
        pass
    assert closed.value.code == 1011
    assert [event for event, _ in logged] == ["unexpected error"]


def text_parameters() -> Iterator[tuple[str, str]]:
    """(path, name) of every parameter that is text, of every route of the application."""
    for router in APPLICATION.routes:
        for route in getattr(getattr(router, "original_router", None), "routes", ()):
            if isinstance(route, APIRoute):
                for name in sorted(set(_texts(route.dependant))):
                    yield route.path, name


def _texts(dependant: Dependant) -> Iterator[str]:
    for field in [*dependant.path_params, *dependant.query_params]:
        if field.field_info.annotation in (str, list[str], str | None):
            yield field.alias
    for each in dependant.dependencies:
        yield from _texts(each)


APPLICATION = make_app(Connections(), GatewayOptions(), Tokens(None), lambda: None)


@pytest.mark.parametrize(("path", "name"), [*text_parameters()])
def test_text_with_nul_is_refused_by_every_route(path: str, name: str, logged: Logged) -> None:
    APPLICATION.state.context = context(None)
    others = {"symbol": "a:B", "resolution": "1", "to": 9}
    response = TestClient(APPLICATION, URL).get(path.replace(f"{{{name}}}", "a%00"), params={**others, name: "a\x00"})
    named, text = ("path", path.replace(f"{{{name}}}", "a\x00")) if f"{{{name}}}" in path else (name, "a\x00")
    said = response.json()
    assert (response.status_code, said.get("errmsg") or said["detail"]) == (
        400,
        f"{named}: got {text!r}, expected text without NUL",
    )
    assert logged == []


def test_every_route_with_text_is_known() -> None:
    assert {path for path, _ in text_parameters()} >= {
        "/symbols", "/search", "/history", "/api/symbols", "/api/latest", "/api/runs/{run_id}/equity",
        "/api/v1/symbols", "/api/v1/bars", "/api/v1/runs/{run_id}/windows",
    }  # fmt: skip


FIELDS = {
    "type": "subscribe", "id": "a", "snapshot": 1, "future": False, "symbol": "a:B", "interval": "1m", "series": "x",
    "run": "x", "replay": "x", "session": "x", "seq": 1,
}  # fmt: skip


def messages() -> Iterator[tuple[dict[str, Any], str]]:
    """A valid message of each type, with the name of each of its fields that is free text."""
    for request in REQUESTS:
        config = request.__struct_config__
        names = [each.name for each in msgspec.structs.fields(request)]
        message = {name: FIELDS[name] for name in names} | {str(config.tag_field or "type"): config.tag}
        for name in names:
            if isinstance(FIELDS[name], str) and name not in ("type", "series"):  # these may hold no such character
                yield message, name


@pytest.mark.parametrize(("message", "name"), [*messages()])
def test_text_with_nul_is_refused_in_every_field_of_a_message(message: dict[str, Any], name: str) -> None:
    decode_request(json.dumps(message))
    with pytest.raises(InvalidInput, match=rf"^{name}: got 'a\\x00', expected text without NUL"):
        decode_request(json.dumps({**message, name: "a\x00"}))
