"""The guard before a stub of the application: what it counts, and what it writes to the audit log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tapedeck_gateway.access import refused as refused_module
from tapedeck_gateway.access.guard import AccessPolicy, Guard, Share
from tapedeck_gateway.access.hosts import Hosts
from tapedeck_gateway.access.rate_limit import RateLimit
from tapedeck_gateway.access.refused import MAX_CLIENTS, MINUTE, RefusedRequests
from tapedeck_gateway.access.request_slots import RequestSlots
from tapedeck_gateway.access.tokens import Tokens

READ, CONTROL = "reader-" + "r" * 32, "operator-" + "c" * 32
FOREIGN = {"origin": "https://evil.example"}
BURST, FOREIGN_BURST = 20, 5


class Guarded:
    """A guard with a deck's tokens: reading needs none."""

    def __init__(self, folder: Path) -> None:
        (folder / "page.read").write_text(READ)
        (folder / "ops.control").write_text(CONTROL)
        self.refused = RefusedRequests()
        self.holding = asyncio.Event()
        policy = AccessPolicy(
            Hosts([]),
            frozenset(),
            Tokens(folder, open_reading=True),
            own=Share(RateLimit(0.001, BURST), RequestSlots(2, wait_seconds=0.05)),
            foreign=Share(RateLimit(0.001, FOREIGN_BURST), RequestSlots(1, wait_seconds=0.05)),
            refused=self.refused,
            is_public=lambda path: path == "/",
        )
        self._guard = Guard(self._app, policy)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/hold":
            await self.holding.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(
        self, path: str = "/x", method: str = "GET", token: str = "", client: str = "127.0.0.1", **headers: str
    ) -> int:
        sent = {"host": "127.0.0.1", **({"authorization": f"Bearer {token}"} if token else {}), **headers}
        scope: Any = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
            "client": (client, 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        statuses: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self._guard(scope, _receive, send)
        return statuses[0]

    def asked(self, count: int, **request: Any) -> Counter[int]:
        async def all_of_them() -> Counter[int]:
            return Counter([await self.ask(**request) for _ in range(count)])

        return asyncio.run(all_of_them())


async def _receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is written to the log."""
    written: list[dict[str, Any]] = []

    class Log:
        def info(self, event: str, **fields: Any) -> None:
            written.append({"event": event, **fields})

    monkeypatch.setattr(refused_module, "log", Log())
    monkeypatch.setattr("tapedeck_gateway.access.audit.log", Log())
    return written


def test_refused_changes_are_one_line_a_client_and_minute(guarded: Guarded, logged: list[dict[str, Any]]) -> None:
    long = "/" + "x" * 1_000
    guarded.asked(1_500, path=long, method="POST", **FOREIGN)  # 403, then 429
    guarded.asked(10, path=long, method="POST")  # 401
    guarded.asked(5, path=long, method="DELETE", token=READ)  # 403
    assert logged == []
    guarded.refused.log_all()
    assert [(each["who"], each["client"], each["requests"]) for each in logged] == [
        ("anonymous", "127.0.0.1", 1_510), ("page", "127.0.0.1", 5),
    ]  # fmt: skip
    assert logged[0]["statuses"] == {"401": 10, "403": FOREIGN_BURST, "429": 1_500 - FOREIGN_BURST}
    assert len(json.dumps(logged)) < 1_000
    assert guarded.asked(3, method="POST", token=CONTROL) == {200: 3}
    assert [(each["event"], each["who"], each["status"]) for each in logged[2:]] == [("audit", "ops", 200)] * 3


def test_the_lines_of_a_minute_are_bounded(logged: list[dict[str, Any]]) -> None:
    counts = RefusedRequests()
    for number in range(1_000):
        counts.note("anonymous", str(number), {"method": "POST", "path": "/"}, 401, 5.0 + number / 100)
    counts.log_due(5.0 + MINUTE - 1)
    assert logged == []
    counts.log_due(5.0 + MINUTE)
    assert len(logged) == MAX_CLIENTS + 1
    assert (logged[-1]["who"], sum(each["requests"] for each in logged)) == ("others", 1_000)
    counts.log_due(500.0)
    assert len(logged) == MAX_CLIENTS + 1


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "/x", **FOREIGN},
        {"path": "/", **FOREIGN},  # a public file
        {"path": "/x", "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
        {"path": "/x", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"},
        {"path": "/x", "host": "rebound.example"},
    ],
)
def test_a_page_of_another_site_uses_up_nothing_of_the_own(guarded: Guarded, request_: dict[str, str]) -> None:
    statuses = guarded.asked(1_000, **request_)
    assert statuses[429] == 1_000 - FOREIGN_BURST
    assert guarded.asked(BURST) == {200: BURST}
    assert guarded.asked(1) == {429: 1}


def test_the_holder_of_a_token_has_a_share_of_its_own(guarded: Guarded) -> None:
    assert guarded.asked(100)[429] == 100 - BURST
    assert guarded.asked(100, client="127.0.0.2") == {429: 100}  # any user of the machine may take any of loopback
    assert guarded.asked(5, token="unknown-" + "u" * 30) == {429: 5}
    assert guarded.asked(BURST + 1, token=CONTROL) == {200: BURST, 429: 1}
    assert guarded.asked(BURST, token=READ) == {200: BURST}


def test_slots_are_of_the_holder(guarded: Guarded) -> None:
    async def use() -> list[int]:
        held = [asyncio.create_task(guarded.ask("/hold")) for _ in range(2)]
        held.append(asyncio.create_task(guarded.ask("/hold", sec_fetch_site="cross-site", sec_fetch_mode="navigate")))
        await asyncio.sleep(0.01)
        asked = [await guarded.ask(), await guarded.ask(token=CONTROL)]
        guarded.holding.set()
        assert await asyncio.gather(*held) == [200, 200, 200]
        return asked

    assert asyncio.run(use()) == [429, 200]
