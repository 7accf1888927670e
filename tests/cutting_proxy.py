"""A proxy in front of the API server that kills the operator at its n-th request, silences its watches, or gives wrong
answers in the server's place.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web

from kube.api import KubeApi

# Name → (status, content type, body) of an answer that the API server did not give.
WRONG_ANSWERS = {
    "page": (200, "text/html", "<html><body>Please log in</body></html>"),
    "cut": (200, "application/json", '{"kind":"List","apiVersion":"v1","metadata":{"resou'),
    "list": (200, "application/json", "[]"),
    "conflict": (409, "application/json", '{"kind":"Status","metadata":{},"message":"wrong","code":409}'),
    "too many": (429, "application/json", '{"kind":"Status","metadata":{},"message":"slow down","code":429}'),
    "error": (500, "application/json", '{"kind":"Status","metadata":{},"message":"etcd","code":500}'),
    "gateway": (502, "text/html", "<html><body>Bad Gateway</body></html>"),
    "unavailable": (503, "text/plain", "no server"),
}
LATE_SECONDS = 1.0


class CuttingProxy:
    """Counts the operator's requests for objects, without watches, lists and leases."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.calls: list[str] = []
        self.muted: tuple[str, ...] = ()  # plurals whose watches stay open and deliver nothing, not even their end
        self.held = 0
        self.false_conflicts: set[str] = set()  # plurals of which the next creation is answered with a proxy's 409
        self.wrong: random.Random | None = None  # while set, chooses wrong and late answers for most requests
        self.answered: Counter[str] = Counter()
        self._cut_at = 0
        self._after = False
        self._cut: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def arm(self, number: int, after: bool, cut: Callable[[], None]) -> None:
        """Call ``cut`` at the request of that number (0: never), before or after the server handles it."""
        self.calls, self._cut_at, self._after, self._cut = [], number, after, cut

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(timeout=60)

    def _run(self) -> None:
        asyncio.run(self._serve())  # also ends the watches of operators that were killed

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        keys: Path = self._api.folder
        context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        context.load_cert_chain(keys / "operator.crt", keys / "operator.key")
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._port = runner.addresses[0][1]
            self._ready.set()
            await self._stopped.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if (wrong := await self._wrong_answer(request)) is not None:
            return wrong
        plural = request.path.rpartition("/")[2]
        if request.method == "POST" and plural in self.false_conflicts:
            self.false_conflicts.discard(plural)
            return _answer("conflict")
        cutting = False
        if _is_counted(request):
            self.calls.append(f"{request.method} {request.path}")
            cutting = len(self.calls) == self._cut_at
        if cutting and not self._after:
            self._cut()
            raise web.HTTPBadGateway
        async with await self._forward(request) as answer:
            if cutting:
                await answer.read()
                self._cut()
                raise web.HTTPBadGateway
            passed = {
                k: v for k, v in answer.headers.items() if k.lower() not in ("transfer-encoding", "content-length")
            }
            response = web.StreamResponse(status=answer.status, headers=passed)
            with suppress(ConnectionResetError):  # the client is gone
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await self._hold_if_muted(request)
                    await response.write(chunk)
                await self._hold_if_muted(request)
                await response.write_eof()
            return response

    async def _forward(self, request: web.Request) -> aiohttp.ClientResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "authorization")}
        body = await request.read() or None
        return await self._session.request(request.method, self._api.url + request.raw_path, headers=headers, data=body)

    async def _wrong_answer(self, request: web.Request) -> web.Response | None:
        """A wrong answer, half of the time after the server has handled the request; None for its own, maybe late."""
        if self.wrong is None or self.wrong.random() < 0.3:
            return None
        name = self.wrong.choice(["late", *WRONG_ANSWERS])
        self.answered[name] += 1
        if name == "late":
            await asyncio.sleep(LATE_SECONDS)
            return None
        if "watch" not in request.query and self.wrong.random() < 0.5:
            async with await self._forward(request) as answer:
                await answer.read()
        return _answer(name)

    async def _hold_if_muted(self, request: web.Request) -> None:
        """Keep a muted watch silent for ever; other watches of the kind may be unmuted later."""
        if "watch" in request.query and request.path.rpartition("/")[2] in self.muted:
            self.held += 1
            await self._stopped.wait()


def _is_counted(request: web.Request) -> bool:
    if "/leases" in request.path or "/namespaces/" not in request.path:
        return False
    listing = request.method == "GET" and len(request.path.partition("/namespaces/")[2].split("/")) < 3
    return not listing


def _answer(name: str) -> web.Response:
    status, content_type, text = WRONG_ANSWERS[name]
    return web.Response(status=status, content_type=content_type, text=text)
