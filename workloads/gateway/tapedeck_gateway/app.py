"""The ASGI application: its parts, its routes and its middleware."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from tapedeck_common.settings import Connections
from tapedeck_gateway.access.guard import AccessPolicy, Guard, Share
from tapedeck_gateway.access.hosts import Hosts
from tapedeck_gateway.access.rate_limit import RateLimit
from tapedeck_gateway.access.refused import RefusedRequests
from tapedeck_gateway.access.request_slots import RequestSlots
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.context import GatewayContext
from tapedeck_gateway.options import GatewayLimits, GatewayOptions
from tapedeck_gateway.partial_response import MISSING_HEADER
from tapedeck_gateway.push.channel_opening import ChannelSources
from tapedeck_gateway.push.channel_table import ChannelTable
from tapedeck_gateway.push.session_table import SessionTable
from tapedeck_gateway.resources.deck_files import DeckFiles
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi
from tapedeck_gateway.routes import (
    catalogue,
    probes,
    runs_and_replays,
    seed,
    udf,
    websocket_docs,
    websocket_seed,
    websocket_v1,
)
from tapedeck_gateway.routes.page import PageFiles, is_page_file
from tapedeck_gateway.routes.request_metrics import RequestMetrics
from tapedeck_gateway.routes.responses import SecurityHeaders, install_error_responses
from tapedeck_gateway.routes.v1 import MODULES, controls, strategy_sources, uploads
from tapedeck_gateway.routes.v1 import resources as resources_v1
from tapedeck_gateway.routes.v1.documentation import is_documented
from tapedeck_gateway.routes.v1.sql import TRUNCATED_HEADER
from tapedeck_gateway.service_monitor import ServiceMonitor
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.symbol_directory import SymbolDirectory
from tapedeck_gateway.topics.replay_list import ReplayList
from tapedeck_gateway.topics.topic_reader import TopicReader

TOKENS_SECONDS = 5.0  # between two reads of the tokens
FOREIGN_PART = 0.1  # of what a client may ask
THREADS = 40  # of WebSockets, beside as many of requests
_ROUTES = (
    probes, *udf.MODULES, catalogue, runs_and_replays, seed, websocket_seed, websocket_v1, websocket_docs,
    *MODULES, controls, strategy_sources, uploads,
)  # fmt: skip


def make_app(
    connections: Connections,
    options: GatewayOptions,
    tokens: Tokens,
    on_started: Callable[[], None],
    resources: KubernetesApi | None = None,
    files: DeckFiles | None = None,
) -> FastAPI:
    """The gateway. ``on_started`` is called once it accepts requests.

    Without ``resources`` it cannot change any, without ``files`` it takes no uploads.
    """
    rate = RateLimit(options.limits.requests_per_second, options.limits.request_burst)
    slots = RequestSlots(options.limits.requests_at_once)
    refused = RefusedRequests()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "gateway"))
        pool = Pool(connections, options.limits)
        channels: ChannelTable | None = None

        def on_change(changed: set[str]) -> None:
            if channels is not None:
                channels.on_change(changed)

        reader = TopicReader(connections, options.idle_seconds, on_change)
        replays = ReplayList(connections)
        symbols = SymbolDirectory(pool, replays)
        channels = ChannelTable(ChannelSources(pool, reader, replays, symbols))
        sessions = SessionTable(channels, options.limits)
        services = ServiceMonitor(connections, pool)
        services.start()
        app.state.context = GatewayContext(
            options,
            pool,
            reader,
            channels,
            sessions,
            replays,
            symbols,
            services,
            rate,
            slots,
            tokens,
            resources,
            files,
        )
        refreshing = asyncio.create_task(_keep_fresh(tokens, refused))
        on_started()
        yield
        refreshing.cancel()
        refused.log_all()
        await services.close()
        await sessions.close()
        await channels.close()
        symbols.close()
        reader.stop()
        pool.close(timeout=2)
        for api in (resources, files):
            if api is not None:
                api.close()

    app = FastAPI(
        title="Tapedeck gateway",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    for module in _ROUTES:
        app.include_router(module.router)
    for router in resources_v1.ROUTERS:
        app.include_router(router)
    app.router.routes.append(Mount("/", PageFiles(), name="page"))
    policy = AccessPolicy(
        Hosts(options.hosts),
        frozenset(options.origins),
        tokens,
        own=Share(rate, slots),
        foreign=_foreign_share(options.limits),
        refused=refused,
        is_public=_is_public,
    )
    _add_middleware(app, options, policy)
    return app


def _add_middleware(app: FastAPI, options: GatewayOptions, policy: AccessPolicy) -> None:
    """The last one added sees a request first."""
    app.add_middleware(Guard, policy=policy)
    if options.origins:
        # Outside the guard, which refuses a browser's question about another origin: that carries no token.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type"],
            allow_private_network=True,
            expose_headers=[MISSING_HEADER, TRUNCATED_HEADER, "etag", "retry-after"],
        )
    install_error_responses(app)
    app.add_middleware(SecurityHeaders, origins=options.origins)
    app.add_middleware(RequestMetrics)


def _foreign_share(limits: GatewayLimits) -> Share:
    """What pages of other sites may ask from one address, and what is refused before it counts as the client's own."""
    rate = RateLimit(limits.requests_per_second * FOREIGN_PART, max(1, int(limits.request_burst * FOREIGN_PART)))
    return Share(rate, RequestSlots(max(1, int(limits.requests_at_once * FOREIGN_PART))))


def _is_public(path: str) -> bool:
    return is_page_file(path) or is_documented(path) or websocket_docs.is_documentation(path)


async def _keep_fresh(tokens: Tokens, refused: RefusedRequests) -> None:
    while True:
        await asyncio.sleep(TOKENS_SECONDS)
        tokens.refresh()
        refused.log_due(time.monotonic())
