"""Hostile requests to every route of the gateway, from a seed.

No answer may be a 5xx, take longer than SECONDS of an idle machine, or blame a service for what the request says.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from urllib.parse import quote

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from pods.raw_http import RawResponse, get_request, send_raw
from tapedeck_common.settings import Connections
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.app import make_app
from tapedeck_gateway.options import GatewayOptions
from waits import idle_clock

SECONDS = 5.0


def routes() -> dict[str, list[str]]:
    """The parameters of every route of the application that reads, by path."""

    def names(dependant: Dependant) -> Iterator[str]:
        yield from (field.alias for field in [*dependant.path_params, *dependant.query_params])
        for each in dependant.dependencies:
            yield from names(each)

    app = make_app(Connections(), GatewayOptions(), Tokens(None), lambda: None)
    found = [route for each in app.routes for route in getattr(getattr(each, "original_router", None), "routes", ())]
    reading = [route for route in found if isinstance(route, APIRoute) and "GET" in (route.methods or ())]
    return {route.path: [*dict.fromkeys(names(route.dependant))] for route in reading}


# Percent-encoded, as they stand in the request.
_WRITTEN = r"""
%00 a%00b %ff %c3%28 %ed%a0%80 %f4%90%80%80 % %zz %25%30%30 %0d%0ax:%20y %1b]0;x%07 %e2%80%ae %f0%9f%98%80
NaN nan inf -inf Infinity 1e999 -1 0 -0 1.5 0x10 1_000 253402300799 253402300800 true null None [] {}
%EF%BC%91%EF%BC%92 '%20OR%201=1-- ';DROP%20TABLE%20bars;-- %27%27 %5c %24%7bjndi:ldap://x%7d
../../etc/passwd ..%2f..%2fetc%2fpasswd %3cscript%3e {{7*7}} a:b a:B/C coinbase:BTC/USD coinbase:BTC/USD@sma5
replay/x/a:b : @ a:@ 1 1D 1W 1M 60 * %2a replay.x
"""
HOSTILE = [
    "",
    *_WRITTEN.split(),
    *("9" * count for count in (19, 400, 5_000)),
    *(str(sign * 2**bits + more) for sign in (1, -1) for bits in (31, 63, 64) for more in (0, -1)),
    "a" * 300,
    "a" * 9_000,
    "%25" * 2_000,
    f"replay/{'a' * 64}/a:b",
]


def hostile_requests(seed: int, count: int) -> Iterator[str]:
    """Targets of GET requests: routes with hostile values of their parameters, and with parameters of no route."""
    rng, known = random.Random(seed), routes()
    paths = [*known, "/", "/assets/x", "/nothing"]
    for _ in range(count):
        path = rng.choice(paths)
        names = [name for name in known.get(path, ()) if f"{{{name}}}" not in path] + rng.choices(
            ["x", "%00", "a[]"], k=1
        )
        query = [f"{name}={_value(rng)}" for name in names if rng.random() < 0.75]
        if rng.random() < 0.1:
            query *= 2
        for name in known.get(path, ()):
            path = path.replace(f"{{{name}}}", _value(rng).replace("/", "%2f") or "x")
        if rng.random() < 0.05:
            path += rng.choice(["/", "//", "/..", "/%2e%2e/%2e%2e/etc/passwd", "%00", "%ff", "\xff"])
        yield f"{path}?{'&'.join(query)}"


def _value(rng: random.Random) -> str:
    if rng.random() < 0.8:
        return rng.choice(HOSTILE)
    characters = [chr(rng.choice([rng.randrange(32, 127), rng.randrange(1, 0xD7FF), rng.randrange(0x10000, 0x10FFFF)]))
                  for _ in range(rng.randrange(1, 20))]  # fmt: skip
    return quote("".join(characters), safe="")


def attack(port: int, seed: int, count: int, *headers: str) -> list[str]:
    """Send hostile requests; returns what was wrong with the answers, none where the gateway holds."""
    problems = []
    for target in hostile_requests(seed, count):
        with idle_clock() as clock:
            answer = send_raw(port, get_request(target, *headers), seconds=60)
        if problem := _problem(answer, clock.spent):
            problems.append(f"{target[:300]}: {problem}")
    return problems


def _problem(answer: RawResponse, seconds: float) -> str:
    if seconds > SECONDS or not answer.closed:
        return f"no whole answer within {SECONDS:.0f} s"
    if not 200 <= answer.status < 500:
        return f"status {answer.status}: {answer.body[:200]!r}"
    if "json" not in answer.headers.get("content-type", "") or answer.status == 200:
        return ""
    body = json.loads(answer.body)
    if b"does not answer" in answer.body:
        return f"a service is blamed: {answer.body[:200]!r}"
    return "" if body.get("errmsg") or body.get("detail") else f"no message: {answer.body[:200]!r}"
