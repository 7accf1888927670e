"""The operator's /healthz, /readyz and /metrics, served by the loop that does the work: it shows when that hangs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import generate_latest


@asynccontextmanager
async def serve(
    host: str, port: int, *, alive: Callable[[], bool], ready: Callable[[], bool], measure: Callable[[], None]
) -> AsyncIterator[int]:
    """Serve while inside; gives the port. ``measure`` brings gauges up to date before each scrape."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if alive() else web.Response(status=503, text="a watch is silent")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if ready() else web.Response(status=503, text="not in sync yet")

    async def metrics(_: web.Request) -> web.Response:
        measure()
        return web.Response(body=generate_latest(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()
