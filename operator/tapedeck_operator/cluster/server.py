"""The operator's /healthz, /readyz, /metrics and /replays, by the loop that does the work: it shows when that hangs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import generate_latest


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    *,
    silent: Callable[[], list[str]],
    ready: Callable[[], bool],
    measure: Callable[[], None],
    replays: Callable[[], list[str]],
) -> AsyncIterator[int]:
    """Serve while inside; gives the port. ``measure`` brings gauges up to date before each scrape.

    ``silent`` gives the kinds of which nothing is heard: with one such the operator is not healthy.

    ``replays`` gives the uids of all Replays: whoever deletes topics asks which are still in use.
    """

    async def healthz(_: web.Request) -> web.Response:
        kinds = silent()
        if not kinds:
            return web.Response(text="ok")
        return web.Response(status=503, text=f"nothing is heard of {', '.join(kinds)}")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if ready() else web.Response(status=503, text="not in sync yet")

    async def metrics(_: web.Request) -> web.Response:
        measure()
        return web.Response(body=generate_latest(), content_type="text/plain", charset="utf-8")

    async def living(_: web.Request) -> web.Response:
        return web.json_response(replays()) if ready() else web.Response(status=503, text="not in sync yet")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    app.add_routes([web.get("/replays", living)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()
