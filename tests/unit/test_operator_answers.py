"""Answers in the API server's place, such as a proxy's page, are an outage that the operator waits for."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from tapedeck_operator.cluster.api_server import ApiServer
from tapedeck_operator.reconcile.errors import ApiUnavailable


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "<html>Please log in</html>"), (200, '{"kind":"List","metadata":{"resou'), (200, "[]"), (200, ""),
     (200, "null"), (429, "[1]"), (500, '{"message":'), (502, "<html>Bad Gateway</html>")],
)  # fmt: skip
def test_an_answer_that_is_no_object_is_an_outage(status: int, text: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type="application/json")

    async def ask() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        api = ApiServer(Configuration(host=f"http://127.0.0.1:{port}"), "test")
        try:
            with pytest.raises(ApiUnavailable, match="list replays"):
                await api.list("Replay", "default", "")
        finally:
            await api.close()
            await runner.cleanup()

    asyncio.run(ask())
