"""The ASGI application: its parts, its routes and its middleware."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from tapedeck_common.settings import Connections
from tapedeck_gateway.access.guard import AccessPolicy, Guard
from tapedeck_gateway.access.hosts import Hosts
from tapedeck_gateway.access.rate_limit import RateLimit
from tapedeck_gateway.access.request_slots import RequestSlots
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.context import GatewayContext
from tapedeck_gateway.options import GatewayOptions
from tapedeck_gateway.partial_response import MISSING_HEADER
from tapedeck_gateway.push.subscriptions import Subscriptions
from tapedeck_gateway.routes import catalogue, probes, runs_and_replays, udf, websocket
from tapedeck_gateway.routes.page import PageFiles, is_page_file
from tapedeck_gateway.routes.responses import SecurityHeaders, install_error_responses
from tapedeck_gateway.service_monitor import ServiceMonitor
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics.replay_list import ReplayList
from tapedeck_gateway.topics.topic_reader import TopicReader

TOKENS_SECONDS = 5.0  # between two reads of the tokens
THREADS = 40  # of WebSockets, beside as many of requests


def make_app(
    connections: Connections, options: GatewayOptions, tokens: Tokens, on_started: Callable[[], None]
) -> FastAPI:
    """The gateway. ``on_started`` is called once it accepts requests."""
    rate = RateLimit(options.limits.requests_per_second, options.limits.request_burst)
    slots = RequestSlots(options.limits.requests_at_once)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "gateway"))
        pool = Pool(connections, options.limits)
        subscriptions: Subscriptions | None = None

        def on_change(changed: set[str]) -> None:
            if subscriptions is not None:
                subscriptions.on_change(changed)

        reader = TopicReader(connections, options.idle_seconds, on_change)
        replays = ReplayList(connections)
        subscriptions = Subscriptions(pool, reader, replays)
        services = ServiceMonitor(connections, pool)
        services.start()
        app.state.context = GatewayContext(options, pool, reader, subscriptions, replays, services, rate, slots, tokens)
        refreshing = asyncio.create_task(_keep_fresh(tokens))
        on_started()
        yield
        refreshing.cancel()
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
    )
    for module in (probes, udf, catalogue, runs_and_replays, websocket):
        app.include_router(module.router)
    app.router.routes.append(Mount("/", PageFiles(), name="page"))
    _add_middleware(
        app, options, AccessPolicy(Hosts(options.hosts), frozenset(options.origins), tokens, rate, slots, is_page_file)
    )
    return app


def _add_middleware(app: FastAPI, options: GatewayOptions, policy: AccessPolicy) -> None:
    """The last one added sees a request first."""
    app.add_middleware(Guard, policy=policy)
    if options.origins:
        # Outside the guard, which refuses a browser's question about another origin: that carries no token.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.origins,
            allow_methods=["GET", "HEAD"],
            allow_headers=["authorization"],
            allow_private_network=True,
            expose_headers=[MISSING_HEADER, "retry-after"],
        )
    install_error_responses(app)
    app.add_middleware(SecurityHeaders)


async def _keep_fresh(tokens: Tokens) -> None:
    while True:
        await asyncio.sleep(TOKENS_SECONDS)
        tokens.refresh()
