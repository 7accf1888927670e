"""The operator's HTTP server: /healthz, /readyz, /metrics and /replays.

It shares the event loop of the reconciler, so it does not answer where that hangs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tapedeck_common.metrics import METRICS_CONTENT_TYPE, render_metrics


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    *,
    silent_kinds: Callable[[], list[str]],
    ready: Callable[[], bool],
    update_gauges: Callable[[], None],
    replay_uids: Callable[[], list[str]],
) -> AsyncIterator[int]:
    """Serve inside the context, which gives the port.

    ``silent_kinds`` returns the kinds whose watches are silent: one is enough to fail /healthz. ``update_gauges`` is
    called before each scrape. ``replay_uids`` returns the uids of all Replays: the recorder deletes the topics of
    all others.
    """

    async def healthz(_: web.Request) -> web.Response:
        kinds = silent_kinds()
        if not kinds:
            return web.Response(text="ok")
        return web.Response(status=503, text=f"the watch is silent for {', '.join(kinds)}")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if ready() else web.Response(status=503, text="not in sync yet")

    async def metrics(_: web.Request) -> web.Response:
        update_gauges()
        return web.Response(body=render_metrics(), headers={"Content-Type": METRICS_CONTENT_TYPE})

    async def replays(_: web.Request) -> web.Response:
        return web.json_response(replay_uids()) if ready() else web.Response(status=503, text="not in sync yet")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    app.add_routes([web.get("/replays", replays)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()
