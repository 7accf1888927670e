"""Hostile requests to the gateway: UDF and REST by HTTP, and messages on its WebSocket."""

from __future__ import annotations

import http.client
import json
import random
import socket
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from attack import hostile
from attack.outcome import GIVE_UP_SECONDS, Outcome
from decks.process import Deck

UDF = ("/config", "/time", "/symbols", "/symbol_info", "/search", "/history", "/quotes", "/marks", "/timescale_marks")
REST = (
    "/api/symbols", "/api/latest", "/api/resolutions", "/api/replays", "/api/runs", "/api/runs/{}",
    "/api/runs/{}/fills", "/api/runs/{}/trades", "/api/runs/{}/equity", "/healthz", "/readyz", "/status", "/metrics",
    "/", "/assets/{}", "/{}",
)  # fmt: skip
PARAMETERS = (
    "symbol", "resolution", "from", "to", "countback", "query", "type", "exchange", "limit", "after", "points",
    "future", "group", "symbols", "run", "callback",
)  # fmt: skip
METHODS = ("GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO")
SERVER_ERROR = 500
BODY_SECONDS = 4.0  # how long a body is awaited that was announced and never comes


def udf(running: Deck, rng: random.Random, count: int, outcome: Outcome) -> None:
    """Each is answered, or refused with a message; the gateway then still answers an honest one."""
    _requests(running, rng, count, outcome, list(UDF))


def rest(running: Deck, rng: random.Random, count: int, outcome: Outcome) -> None:
    """As ``udf``, for every other route and for bytes that are no request."""
    _requests(running, rng, count, outcome, list(REST))
    for _ in range(count // 10):
        raw = _no_request(rng)
        outcome.attempt(raw, partial(_send_raw, running, raw))
    outcome.attempt("an honest request afterwards", lambda: _ask(running, "GET", "/api/symbols", {}, b""))


def _requests(running: Deck, rng: random.Random, count: int, outcome: Outcome, paths: list[str]) -> None:
    for _ in range(count):
        target, method = _target(rng, rng.choice(paths)), rng.choice(METHODS)
        headers = _headers(rng) if rng.random() < 0.3 else {}
        body = json.dumps(hostile.value(rng)).encode() if method in ("POST", "PUT", "PATCH") else b""
        shown = (method, target, headers)
        outcome.attempt(shown, partial(_ask, running, method, target, headers, body))


def _target(rng: random.Random, path: str) -> str:
    path = path.replace("{}", _quoted(rng, hostile.text(rng)))
    chosen = rng.sample(PARAMETERS, rng.randrange(5))
    query = "&".join(f"{name}={_quoted(rng, str(rng.choice((hostile.text(rng), _number(rng)))))}" for name in chosen)
    return f"{path}?{query}"


def _number(rng: random.Random) -> object:
    return rng.choice(hostile.NUMBERS)


def _quoted(rng: random.Random, text: str) -> str:
    if rng.random() < 0.1:
        return rng.choice(("%", "%ZZ", "%FF%FE", "%C0%80", "%ED%A0%80", "%0d%0aX:y"))
    return quote(text[:3_000].encode("utf-8", "surrogatepass"), safe="")


def _headers(rng: random.Random) -> dict[str, str]:
    names = ("Host", "Origin", "Referer", "Range", "Accept-Encoding", "If-None-Match", "Content-Length", "Cookie",
             "Authorization", "X-Forwarded-For", "Content-Type", "Upgrade", "Connection", "Expect")  # fmt: skip
    values = ("evil.example", "http://evil.example", "bytes=0-,0-,0-", "-1", "9" * 30, "websocket",
              "Bearer " + "x" * 5000,
              "\x7f", "null", "gzip;q=9", "application/json; charset=utf-7")  # fmt: skip
    return {rng.choice(names): rng.choice(values) for _ in range(rng.randint(1, 4))}


def _ask(running: Deck, method: str, target: str, headers: dict[str, str], body: bytes) -> str | None:
    place = urlsplit(running[1]["gateway"])
    connection = http.client.HTTPConnection(
        place.hostname or "", place.port, timeout=BODY_SECONDS if "Content-Length" in headers else GIVE_UP_SECONDS
    )
    try:
        connection.putrequest(method, target, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        if "Content-Length" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read(2_000_000)
    except TimeoutError:
        # A body that was announced and never came: the server rightly waits for it.
        return None if "Content-Length" in headers else f"no answer in {GIVE_UP_SECONDS:g} s"
    except (http.client.HTTPException, ConnectionError, UnicodeError, ValueError):
        return None  # it ended the connection, or the client refuses to send this
    finally:
        connection.close()
    if b"Traceback (most" in content:
        return "a traceback in the answer"
    if answer.status >= SERVER_ERROR:
        return f"status {answer.status}: {content[:100]!r}"
    return None


NO_REQUESTS = (
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET\r\n\r\n",
    b"\r\n" * 50,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5_000 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)


def _no_request(rng: random.Random) -> bytes:
    return rng.choice((rng.randbytes(200), *NO_REQUESTS))


def _send_raw(running: Deck, raw: bytes) -> str | None:
    place = urlsplit(running[1]["gateway"])
    with socket.create_connection((place.hostname or "", place.port or 0), GIVE_UP_SECONDS) as connection:
        connection.settimeout(BODY_SECONDS)
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65_536)
        except OSError:
            return None  # it ended the connection
    status = answer.split(b" ", 2)[1:2]
    return f"answer {answer[:100]!r}" if b"Traceback (most" in answer or status[:1] >= [b"500"] else None


def sockets(running: Deck, rng: random.Random, count: int, outcome: Outcome) -> None:
    """Each message is answered, or the connection ended; the gateway then still accepts an honest one."""
    url = running[1]["gateway"].replace("http", "ws", 1).rstrip("/") + "/api/v1/ws"
    left = count
    while left > 0:
        burst = min(left, rng.randint(1, 20))
        outcome.attempt(f"{burst} messages", partial(_converse, url, rng, burst))
        outcome.tried += burst - 1
        left -= burst
    outcome.attempt("an honest message afterwards", lambda: _honest(url))


_BARS = {"type": "subscribe", "id": "a", "channel": "bars", "symbol": "coinbase:BTC/USD", "interval": "1m"}


def _converse(url: str, rng: random.Random, burst: int) -> None:
    """Send messages, on another socket after each that closes one."""
    sent = 0
    while sent < burst:
        with (
            connect(url, open_timeout=GIVE_UP_SECONDS, close_timeout=GIVE_UP_SECONDS, max_size=None) as opened,
            suppress(ConnectionClosed),
        ):
            while sent < burst:
                sent += 1
                opened.send(_message(rng))
                opened.recv(timeout=GIVE_UP_SECONDS)


def _message(rng: random.Random) -> str | bytes:
    sound: Any = rng.choice((_BARS, {"type": "resume", "session": "x", "seq": 1}, {"type": "unsubscribe", "id": "a"}))
    match rng.randrange(6):
        case 0:
            return rng.choice((b"\0", b"", rng.randbytes(100)))
        case 1:
            return rng.choice(("", "{", "[" * 3_000, "null", "1e999", '"', "x" * 4_000, "{}" * 100))
        case _:
            return json.dumps(hostile.mutated(rng, sound)).replace("NaN", "1e999")[:4_000]


def _honest(url: str) -> str | None:
    with connect(url, open_timeout=GIVE_UP_SECONDS) as opened:
        opened.send(json.dumps(_BARS))
        answers = [json.loads(opened.recv(timeout=GIVE_UP_SECONDS)) for _ in range(3)]
    answered = any(each.get("type") in ("subscribed", "error") for each in answers)  # an empty store has no such bars
    return None if answered else f"answers {answers!r}"
