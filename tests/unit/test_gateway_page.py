"""The page's addresses and who may frame it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.routing import Mount
from starlette.testclient import TestClient

from tapedeck_gateway.routes import page
from tapedeck_gateway.routes.page import PageFiles, is_page_file
from tapedeck_gateway.routes.responses import SecurityHeaders

VIEWS = [
    "/",
    "/run/sma-cross-1",
    "/run/team%2Fa%20run@2.0",
    "/run/team/a",
    "/compare?run=a&run=b",
    "/markets?symbol=x:A/B",
    "/new",
]


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "index.html").write_text("<title>Tapedeck</title>")
    (tmp_path / "icon.svg").write_text("<svg/>")
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    return tmp_path


def served(origins: tuple[str, ...] = ()) -> TestClient:
    app = FastAPI()
    app.router.routes.append(Mount("/", PageFiles(), name="page"))
    app.add_middleware(SecurityHeaders, origins=origins)
    return TestClient(app, "http://127.0.0.1")


@pytest.mark.parametrize("address", VIEWS)
def test_the_address_of_a_view_is_the_page(built: Path, address: str) -> None:
    answer = served().get(address)
    assert (answer.status_code, answer.text) == (200, "<title>Tapedeck</title>")
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "address", ["/run", "/run/", "/compare/x", "/markets/x", "/elsewhere", "/api/v1/runs", "/run-x"]
)
def test_another_path_is_none(built: Path, address: str) -> None:
    assert served().get(address).status_code == 404
    assert not is_page_file(address)


def test_files_keep_their_names(built: Path) -> None:
    assert served().get("/icon.svg").text == "<svg/>"
    assert all(map(is_page_file, ["/", "/icon.svg", "/assets/x.js", "/run/a", "/compare"]))


def test_a_page_that_is_not_built_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    for address in ("/", "/run/a"):
        answer = served().get(address)
        assert (answer.status_code, "make page" in answer.text) == (503, True)
    assert served().get("/icon.svg").status_code == 404


def test_the_deck_is_framed_by_listed_origins_alone(built: Path) -> None:
    plain = served().get("/").headers
    assert (plain["x-frame-options"], "frame-ancestors 'none'" in plain["content-security-policy"]) == ("DENY", True)
    client = served(("https://a.example", "https://b.example"))
    framed, other = client.get("/").headers, client.get("/run/a").headers
    assert framed["content-security-policy"].endswith("frame-ancestors https://a.example https://b.example")
    assert "x-frame-options" not in framed
    assert other["x-frame-options"] == "DENY"
