"""The small HTTP server of every pod: /healthz /readyz /status /metrics, and POST /control where there is one."""

from __future__ import annotations

import hashlib
import hmac
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tapedeck_common.settings import PodSettings
from tapedeck_crds.report import REPORT_MAX_BYTES, Report

SIGNATURE_HEADER = "x-tapedeck-signature"
CONTROL_BODY_MAX = 16_384

Check = Callable[[], bool]


def sign(key: bytes, body: bytes) -> str:
    """The signature that a control carries: HMAC-SHA256 of the body, in hex."""
    return hmac.new(key, body, hashlib.sha256).hexdigest()


class Probe:
    """Serves a workload's state from a thread of its own.

    ``report`` says how things stand. ``control`` takes the body of a signed control and raises
    ValueError for one that it can't follow.
    """

    def __init__(
        self,
        settings: PodSettings,
        *,
        report: Callable[[], Report],
        alive: Check = lambda: True,
        ready: Check = lambda: True,
        control: Callable[[bytes], None] | None = None,
    ) -> None:
        self._settings = settings
        self._report = report
        self._alive = alive
        self._ready = ready
        self._control = control
        self._key = _read_key(settings.control_key_file)
        self._socket = socket.create_server((settings.http_host, settings.http_port))
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._app(), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="probe", daemon=True)

    def start(self) -> None:
        """Serve, and report the port where a file for it was named."""
        self._thread.start()
        if self._settings.port_file is not None:
            _write_atomically(self._settings.port_file, str(self.port))

    def stop(self) -> None:
        """End within about a second."""
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
            return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

        return Starlette(
            routes=[
                Route("/healthz", healthz),
                Route("/readyz", readyz),
                Route("/status", status),
                Route("/metrics", metrics),
                Route("/control", self._take_control, methods=["POST"]),
            ]
        )

    async def _take_control(self, request: Request) -> Response:
        if self._control is None or self._key is None:
            return JSONResponse({"error": "this workload takes no controls"}, 404)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > CONTROL_BODY_MAX:
                return JSONResponse({"error": f"expected at most {CONTROL_BODY_MAX} bytes"}, 413)
        if not hmac.compare_digest(request.headers.get(SIGNATURE_HEADER, ""), sign(self._key, body)):
            return JSONResponse({"error": "signature does not match"}, 403)
        try:
            self._control(body)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"accepted": True}, 202)


def on_stop(act: Callable[[], None]) -> None:
    """Call ``act`` where the pod is told to end, by SIGTERM or SIGINT: the process goes on until it is through."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: act())


def leave_report(settings: PodSettings, report: Report) -> None:
    """Write the last report where the operator finds it when the pod is gone."""
    if settings.termination_log is None:
        return
    room = REPORT_MAX_BYTES - len(report.model_copy(update={"message": ""}).model_dump_json()) - 8
    message = report.message.encode()[: max(room // 2, 0)].decode(errors="ignore")  # JSON may escape each byte
    settings.termination_log.write_text(report.model_copy(update={"message": message}).model_dump_json())


def _read_key(path: Path | None) -> bytes | None:
    return path.read_bytes().strip() if path is not None else None


def _write_atomically(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
