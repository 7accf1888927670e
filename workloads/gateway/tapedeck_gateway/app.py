"""The application: its parts, and how errors are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
from confluent_kafka import KafkaException
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from starlette.routing import Mount

from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_gateway.context import Deck
from tapedeck_gateway.options import Options
from tapedeck_gateway.push.subscription_hub import Hub
from tapedeck_gateway.routes import probes, runs_and_replays, udf, websocket
from tapedeck_gateway.routes.page import SecureHeaders, Site
from tapedeck_gateway.store import catalogue
from tapedeck_gateway.store.bars import open_pool
from tapedeck_gateway.topics.replay_list import Replays
from tapedeck_gateway.topics.topic_reader import Tail


def make_app(connections: Connections, options: Options, started: Callable[[], None]) -> FastAPI:
    """The gateway. ``started`` is called once it answers."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = open_pool(connections)
        hub: Hub | None = None

        def changed(uids: set[str]) -> None:
            if hub is not None:
                hub.changed(uids)

        tail = Tail(connections, options.idle_seconds, changed)
        hub = Hub(pool, tail)
        app.state.deck = Deck(options, pool, tail, hub, Replays(connections))
        started()
        yield
        await hub.close()
        tail.stop()
        pool.close(timeout=2)

    app = FastAPI(title="Tapedeck gateway", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    for room in (probes, udf, catalogue, runs_and_replays, websocket):
        app.include_router(room.router)
    app.router.routes.append(Mount("/", Site(), name="page"))
    app.add_middleware(SecureHeaders)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(ValueError, _bad_value)
    for kind in (psycopg.Error, PoolTimeout, KafkaException):
        app.add_exception_handler(kind, _away)
    return app


def _told(message: str, code: int) -> JSONResponse:
    return JSONResponse({"s": "error", "errmsg": message}, code)


async def _bad_request(_: Request, error: Exception) -> JSONResponse:
    """Name the parameter, the value and what was expected."""
    if not isinstance(error, RequestValidationError):
        raise error
    fault = error.errors()[0]
    name = ".".join(str(part) for part in fault["loc"][1:])
    if fault["type"] == "missing":
        return _told(f"{name}: missing, expected a value", 400)
    expected = fault["msg"].removeprefix("Input should be ").split(",")[0]
    return _told(f"{name}: got {str(fault['input'])[:80]!r}, expected {expected}", 400)


async def _bad_value(_: Request, error: Exception) -> JSONResponse:
    return _told(str(error), 404 if isinstance(error, udf.NotFound) else 400)


async def _away(request: Request, error: Exception) -> JSONResponse:
    log.warning("a service is away", path=request.url.path, reason=str(error))
    what = "broker" if isinstance(error, KafkaException) else "database"
    return _told(f"the {what} does not answer; try again", 503)
