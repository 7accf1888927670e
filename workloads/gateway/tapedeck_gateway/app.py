"""The ASGI application: its parts, its routes and its middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.routing import Mount

from tapedeck_common.settings import Connections
from tapedeck_gateway.context import GatewayContext
from tapedeck_gateway.options import GatewayOptions
from tapedeck_gateway.push.subscriptions import Subscriptions
from tapedeck_gateway.routes import catalogue, probes, runs_and_replays, udf, websocket
from tapedeck_gateway.routes.page import PageFiles
from tapedeck_gateway.routes.request_text import refuse_nul_in_parameters
from tapedeck_gateway.routes.responses import SecurityHeaders, install_error_responses
from tapedeck_gateway.service_monitor import ServiceMonitor
from tapedeck_gateway.store.pool import open_pool
from tapedeck_gateway.topics.replay_list import ReplayList
from tapedeck_gateway.topics.topic_reader import TopicReader


def make_app(connections: Connections, options: GatewayOptions, on_started: Callable[[], None]) -> FastAPI:
    """The gateway. ``on_started`` is called once it accepts requests."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = open_pool(connections)
        subscriptions: Subscriptions | None = None

        def on_change(changed: set[str]) -> None:
            if subscriptions is not None:
                subscriptions.on_change(changed)

        reader = TopicReader(connections, options.idle_seconds, on_change)
        replays = ReplayList(connections)
        subscriptions = Subscriptions(pool, reader, replays)
        services = ServiceMonitor(connections, pool)
        services.start()
        app.state.context = GatewayContext(options, pool, reader, subscriptions, replays, services)
        on_started()
        yield
        await services.close()
        await subscriptions.close()
        reader.stop()
        pool.close(timeout=2)

    app = FastAPI(
        title="Tapedeck gateway",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(refuse_nul_in_parameters)],
    )
    for module in (probes, udf, catalogue, runs_and_replays, websocket):
        app.include_router(module.router)
    app.router.routes.append(Mount("/", PageFiles(), name="page"))
    install_error_responses(app)
    app.add_middleware(SecurityHeaders)
    return app
