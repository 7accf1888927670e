"""A proxy in front of the API server that kills the operator at its n-th request, or silences its watches."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web

from kube.api import KubeApi


class CuttingProxy:
    """Counts the operator's requests for objects, without watches, lists and leases."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.calls: list[str] = []
        self.muted: tuple[str, ...] = ()  # plurals whose watches stay open and deliver nothing, not even their end
        self.held = 0
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
        cutting = False
        if _is_counted(request):
            self.calls.append(f"{request.method} {request.path}")
            cutting = len(self.calls) == self._cut_at
        if cutting and not self._after:
            self._cut()
            raise web.HTTPBadGateway
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "authorization")}
        url = self._api.url + request.raw_path
        body = await request.read() or None
        async with self._session.request(request.method, url, headers=headers, data=body) as answer:
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
