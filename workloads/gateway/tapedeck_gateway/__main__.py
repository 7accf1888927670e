"""``python -m tapedeck_gateway``: charts, replays and runs for browsers."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import uvicorn
from pydantic import ValidationError

from tapedeck_common.logs import configure, log
from tapedeck_common.probe import leave_report
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.report import Report
from tapedeck_gateway.app import make_app
from tapedeck_gateway.options import Options
from tapedeck_gateway.routes.websocket import MESSAGE_BYTES


def main() -> int:
    """Serve until SIGTERM; exit 64 for options that can't be followed, 1 where the port is taken."""
    settings = PodSettings()
    configure(settings.log_level, workload="gateway", name=settings.name)
    try:
        options = Options.model_validate_json(settings.spec)
        connections = Connections.read(settings.connections)
    except ValidationError as error:
        return _fail(settings, "BadOptions", str(error), EXIT_BAD_INPUT)
    try:
        listener = socket.create_server((settings.http_host, settings.http_port), backlog=1_024)
    except OSError as error:
        place = f"{settings.http_host}:{settings.http_port}"
        return _fail(settings, "CannotListen", f"http port: got {place}, expected a free one ({error.strerror})", 1)
    # Uvicorn ends on these and raises them again once it has: then they shall do nothing more.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    asyncio.run(_serve(settings, connections, options, listener))
    leave_report(settings, Report(state="complete"))
    return 0


async def _serve(settings: PodSettings, connections: Connections, options: Options, listener: socket.socket) -> None:
    port = listener.getsockname()[1]

    def started() -> None:
        if settings.port_file is not None:
            fresh = settings.port_file.with_suffix(".new")
            fresh.write_text(str(port))
            fresh.replace(settings.port_file)
        log.info("serving", port=port)

    config = uvicorn.Config(
        make_app(connections, options, started),
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


def _fail(settings: PodSettings, reason: str, message: str, code: int) -> int:
    log.error("cannot start", reason=message)
    leave_report(settings, Report(state="failed", reason=reason, message=message))
    return code


if __name__ == "__main__":
    sys.exit(main())
