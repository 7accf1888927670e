"""The HTTP server of every pod: GET /healthz, /readyz, /status and /metrics, and POST /control."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tapedeck_common.atomic_file import write_atomically
from tapedeck_common.logs import hide_secret
from tapedeck_common.metrics import METRICS_CONTENT_TYPE, render_metrics
from tapedeck_common.pod.listener import listen
from tapedeck_common.quiet_server import HEADER_BYTES, QuietServer, bounded_protocol
from tapedeck_common.settings import PodSettings
from tapedeck_crds.report import Report

SIGNATURE_HEADER = "x-tapedeck-signature"
CONTROL_BODY_MAX = 16_384  # bytes


def sign(key: bytes, body: bytes) -> str:
    """The signature of a control: HMAC-SHA256 of the body, in hex."""
    return hmac.new(key, body, hashlib.sha256).hexdigest()


class ProbeServer:
    """Serves a workload's state from a thread of its own; a context manager.

    ``report``, ``alive``, ``ready`` and ``control`` are called from that thread. ``control`` gets the body of a request
    whose signature is valid, and raises ValueError for one that it rejects. Raises OSError where the port is taken.
    """

    def __init__(
        self,
        settings: PodSettings,
        *,
        report: Callable[[], Report],
        alive: Callable[[], bool] = lambda: True,
        ready: Callable[[], bool] = lambda: True,
        control: Callable[[bytes], None] | None = None,
    ) -> None:
        self._settings = settings
        self._report = report
        self._alive = alive
        self._ready = ready
        self._control = control
        self._key = _read_key(settings.control_key_file)
        self._socket = listen(settings.http_host, settings.http_port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._app(),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            http=bounded_protocol(),
            h11_max_incomplete_event_size=HEADER_BYTES,
        )
        self._server = QuietServer(config)
        self._thread = threading.Thread(target=self._serve, name="probe", daemon=True)

    def start(self) -> None:
        """Serve, and write the port to the settings' ``port_file`` where one is given."""
        self._thread.start()
        if self._settings.port_file is not None:
            write_atomically(self._settings.port_file, str(self.port))

    def stop(self) -> None:
        """Stop serving; takes about a second at most."""
        self._server.should_exit = True
        self._thread.join(timeout=3)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def _app(self) -> Starlette:
        async def healthz(_: Request) -> Response:
            return PlainTextResponse("ok") if self._alive() else PlainTextResponse("stuck", 503)

        async def readyz(_: Request) -> Response:
            return PlainTextResponse("ok") if self._ready() else PlainTextResponse("not ready", 503)

        async def status(_: Request) -> Response:
            return Response(self._report().model_dump_json(), media_type="application/json")

        async def metrics(_: Request) -> Response:
            return Response(render_metrics(), media_type=METRICS_CONTENT_TYPE)

        return Starlette(
            routes=[
                Route("/healthz", healthz),
                Route("/readyz", readyz),
                Route("/status", status),
                Route("/metrics", metrics),
                Route("/control", self._receive_control, methods=["POST"]),
            ]
        )

    async def _receive_control(self, request: Request) -> Response:
        if self._control is None or self._key is None:
            return JSONResponse({"error": "this workload accepts no controls"}, 404)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > CONTROL_BODY_MAX:
                return JSONResponse({"error": f"expected at most {CONTROL_BODY_MAX} bytes"}, 413)
        given = request.headers.get(SIGNATURE_HEADER, "").encode()  # text that is not ASCII cannot be compared
        if not hmac.compare_digest(given, sign(self._key, body).encode()):
            return JSONResponse({"error": "signature does not match"}, 403)
        try:
            self._control(body)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"accepted": True}, 202)


def _read_key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    key = path.read_bytes().strip()
    hide_secret(key.decode("latin-1"))
    return key
