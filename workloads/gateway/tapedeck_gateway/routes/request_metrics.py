"""Prometheus metrics of HTTP requests, by route."""

from __future__ import annotations

import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OTHER = "other"
"""The label of what clients make up: paths without a route, and unusual methods."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REQUESTS = Counter("tapedeck_gateway_requests_total", "HTTP requests that were answered.", ["method", "route", "code"])
REQUEST_SECONDS = Histogram(
    "tapedeck_gateway_request_seconds",
    "Seconds from a request to the end of its response.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class RequestMetrics:
    """Counts each request under the template of its route, so that the number of series is that of the routes.

    A request that was denied before it reached a route, and the files of the page, have none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        code, started = "500", time.monotonic()

        async def send_and_note(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = str(getattr(scope.get("route"), "path", OTHER))
            method = scope["method"] if scope["method"] in METHODS else OTHER
            REQUESTS.labels(method, route, code).inc()
            REQUEST_SECONDS.labels(route).observe(time.monotonic() - started)
